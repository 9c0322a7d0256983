package shell

import "testing"

func TestTheOwnGroupIsFoundInEveryLayout(t *testing.T) {
	const v1 = "35 24 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	mount := func(root, point string) string {
		return v1 + "36 24 0:31 " + root + " " + point + " rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
	}
	const hybrid = "4:memory:/runner\n1:name=systemd:/runner\n"
	for name, c := range map[string]struct{ own, mounts, want string }{
		"unified":                  {"0::/system.slice/gitlab-runner.service\n", mount("/", "/sys/fs/cgroup"), "/sys/fs/cgroup/system.slice/gitlab-runner.service"},
		"hybrid":                   {hybrid + "0::/\n", mount("/", "/sys/fs/cgroup/unified"), "/sys/fs/cgroup/unified"},
		"container's view":         {"0::/docker/abc\n", mount("/docker/abc", "/sys/fs/cgroup"), "/sys/fs/cgroup"},
		"below the container":      {"0::/docker/abc/x\n", mount("/docker/abc", "/sys/fs/cgroup"), "/sys/fs/cgroup/x"},
		"outside of what is there": {"0::/other\n", mount("/docker/abc", "/sys/fs/cgroup"), ""},
		"outside of the namespace": {"0::/../../x\n", mount("/", "/sys/fs/cgroup"), ""},
		"version 1 only":           {hybrid, v1, ""},
		"not mounted":              {"0::/x\n", v1, ""},
	} {
		got, err := ownCgroup(c.own, c.mounts)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestTheAuditLogIsToldWhatIsAtHand(t *testing.T) {
	if got := New(newPlan(t)).Guarantee(); got != "subreaper" {
		t.Errorf("own user: %s", got)
	}
	if got := New(newUserPlan(t)).Guarantee(); got != "cgroup" && got != "own uid" {
		t.Errorf("other user: %s", got)
	}
}

func TestNoGroupIsAGroupWithoutMembers(t *testing.T) {
	var g *cgroup
	g.kill()
	g.remove()
	if !g.empty() || len(g.members()) != 0 {
		t.Error("it has members")
	}
}
