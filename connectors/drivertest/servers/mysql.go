package servers

import (
	"context"
	"fmt"
	"path/filepath"
)

// StartMySQL is StartMariaDB with the program mysqld of a folder, which `.ci/mysql-server`
// fills. It writes a log of changes with GTIDs.
func StartMySQL(ctx context.Context, programs, dir string, options ...string) (*Server, error) {
	mysqld, err := find("mysql-server-core", "mysqld", programs)
	if err != nil {
		return nil, err
	}
	if err := own(dir); err != nil {
		return nil, err
	}
	data, share := filepath.Join(dir, "data"), filepath.Join(filepath.Dir(mysqld), "usr")
	common := []string{
		"--no-defaults", "--datadir=" + data, "--basedir=" + share, "--plugin-dir=" + filepath.Join(share, "lib/mysql/plugin"),
		"--character-sets-dir=" + filepath.Join(share, "share/mysql/charsets"), "--lc-messages-dir=" + filepath.Join(share, "share/mysql"), "--secure-file-priv=NULL",
	}
	if out, err := command(ctx, dir, mysqld, append(common, "--initialize-insecure")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mysqld --initialize-insecure: %w: %s", err, out)
	}
	args := append(common, "--mysqlx=OFF", "--server-id=7", "--log-bin="+filepath.Join(data, "log"), "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--innodb-redo-log-capacity=16M")
	return serve(ctx, dir, mysqld, append(args, options...))
}
