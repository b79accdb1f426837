package bustest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// mainArgument makes the test binary run a NATS server.
const mainArgument = "bustest-nats-server"

// settings are one server's settings, passed from the test to its process.
type settings struct {
	Name, Dir              string
	Client, Route, Monitor string // host:port to listen at
	Routes                 string // of the cluster's servers, separated by commas
	Config                 string // file with further settings, or ""
	// Addresses that the server advertises; "" for those it listens at.
	AdvertisedClient, AdvertisedRoute string
}

// Main runs a NATS server if this process was started to be one; it then exits
// when its input closes, and never returns. Call it first in TestMain.
func Main() {
	if len(os.Args) != 3 || os.Args[1] != mainArgument {
		return
	}
	var s settings
	err := json.Unmarshal([]byte(os.Args[2]), &s)
	if err == nil {
		err = serve(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a server with the settings of a configuration file, if there is
// one, overridden by those that make it part of the test's cluster.
func serve(given settings) error {
	opts := &server.Options{}
	var err error
	if given.Config != "" {
		if opts, err = server.ProcessConfigFile(given.Config); err != nil {
			return err
		}
	}
	opts.ServerName, opts.JetStream, opts.StoreDir, opts.SyncAlways, opts.NoSigs, opts.Logtime = given.Name, true, given.Dir, true, true, true
	opts.ClientAdvertise = given.AdvertisedClient
	if opts.Host, opts.Port, err = split(given.Client); err != nil {
		return err
	}
	if opts.HTTPHost, opts.HTTPPort, err = split(given.Monitor); err != nil {
		return err
	}
	if strings.Contains(given.Routes, ",") { // a single server must not wait for a cluster
		opts.Cluster = server.ClusterOpts{Name: "headwater", Advertise: given.AdvertisedRoute}
		opts.Routes = server.RoutesFromStr(given.Routes)
		if opts.Cluster.Host, opts.Cluster.Port, err = split(given.Route); err != nil {
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
