package bustest

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// mainArgument makes the test binary be a NATS server.
const mainArgument = "bustest-nats-server"

// Main runs a NATS server when this process was started to be one, until its
// input closes, and never returns then. Call it first in TestMain.
func Main() {
	if len(os.Args) != 8 || os.Args[1] != mainArgument {
		return
	}
	if err := serve(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6], os.Args[7]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a server with the settings of a configuration file, if config names
// one, and over them those that make it part of the test's cluster.
func serve(name, dir, client, route, routes, config string) error {
	opts := &server.Options{}
	var err error
	if config != "" {
		if opts, err = server.ProcessConfigFile(config); err != nil {
			return err
		}
	}
	opts.ServerName, opts.JetStream, opts.StoreDir, opts.SyncAlways, opts.NoSigs, opts.Logtime = name, true, dir, true, true, true
	if opts.Host, opts.Port, err = split(client); err != nil {
		return err
	}
	if strings.Contains(routes, ",") { // a server alone is no cluster, and would wait for one
		opts.Cluster = server.ClusterOpts{Name: "headwater"}
		opts.Routes = server.RoutesFromStr(routes)
		if opts.Cluster.Host, opts.Cluster.Port, err = split(route); err != nil {
			return err
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	_, err = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	return err
}

func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}
