package main

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	cmd := exec.Command(os.Args[0], "--version")
	cmd.Env = programEnv()
	out, err := cmd.Output()
	if said := string(out); err != nil || !strings.HasPrefix(said, "headwater ") || !strings.HasSuffix(said, " "+runtime.Version()+"\n") {
		t.Errorf("--version: %q, %v", out, err)
	}
	built := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{GoVersion: "go1", Main: debug.Module{Version: version}, Settings: settings}
	}
	for want, info := range map[string]*debug.BuildInfo{
		"of an unknown build":          nil,
		"v1.2.3 go1":                   built("v1.2.3"),
		"devel go1":                    built("(devel)"),
		"devel-0123456789ab+dirty go1": built("", debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
	} {
		if got := versionOf(info); got != want {
			t.Errorf("%q, wanted %q", got, want)
		}
	}
}
