package engine

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

// getSources does what the runner's script does: a checkout is made, or brought
// up to date and cleaned of what the last job left.
const getSources = `set -e
id -u; mkdir -p /builds/acme; cd /builds/acme
[ -d shop/.git ] || git init -q shop
cd shop; git fetch -q --force /repo/bundle +refs/heads/main:refs/remotes/origin/main
git checkout -qf --detach origin/main; git clean -ffdxq; ls -A`

// build works in it, and leaves what a build leaves.
const build = `set -e
cd /builds/acme/shop; git status --short; git fetch -q /repo/bundle main
git -c user.name=ci -c user.email=ci@example.com commit -q --allow-empty -m "by $(id -u)"
echo more >>file; mkdir -p dist/deep; echo x >dist/deep/x; umask; git status --short`

// bundle is a repository in one file: whose it is, git does not ask.
func bundle(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", "work"},
		{"-C", "work", "add", "."},
		{"-C", "work", "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "-m", "one"},
		{"-C", "work", "bundle", "create", "-q", filepath.Join(dir, "bundle"), "main"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if args[0] == "init" {
			if err := os.WriteFile(filepath.Join(dir, "work", "file"), []byte("one\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{dir, filepath.Join(dir, "bundle")} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const otherImage = "other:latest" // its user ci has another number

func other() dockertest.Image {
	return dockertest.Full().WithFile("/etc/passwd", dockertest.File{Mode: 0o644, Content: "root:x:0:0:root:/root:/bin/sh\nci:x:1001:1001::/tmp:/bin/sh\n"}).With("USER ci")
}

// Jobs whose images have different users follow each other in one project.
func TestImagesOfDifferentUsersFollowEachOther(t *testing.T) {
	d := engineFor(t)
	d.Import(t, otherImage, other())
	t.Setenv(projectDir, "/builds/acme/shop")
	repo := bundle(t)
	helper := &docker.Container{Name: fullImage, Pull: []string{"never"}}
	for name, c := range map[string]struct {
		helper *docker.Container
		ids    string
	}{"with a helper": {helper, "0"}, "without": {}} {
		t.Run(name, func(t *testing.T) {
			for _, image := range []string{fullImage, ciImage, otherImage, fullImage, ciImage} {
				e, _ := preparedPlan(t, ofProject(t, d, func(p *docker.Plan) {
					p.Image.Name, p.Helper, p.Volumes = image, c.helper, []string{repo + ":/repo:ro"}
				}).plan)
				id := map[string]string{fullImage: "0", ciImage: "1000", otherImage: "1001"}[image]
				if c.helper != nil {
					id = c.ids
				}
				if out := must(t, e, "get_sources", getSources); out != id+"\n.git\nfile\n" {
					t.Errorf("%s: %q", image, out)
				}
				if out := must(t, e, "build_script", build); out != "0022\n M file\n?? dist/\n" {
					t.Errorf("%s: %q", image, out)
				}
				if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Whose a volume is goes by the number that the image gives its user.
func TestVolumesAreOfOneOwner(t *testing.T) {
	d := engineFor(t)
	d.Import(t, otherImage, other())
	linked := dockertest.Full().With("USER ci", "VOLUME /somewhere").WithFile("/etc/passwd", dockertest.File{Link: "../nix/users"}).
		WithFile("/nix/users", dockertest.File{Mode: 0o644, Content: "# users\n\nci\nci:x:1002:1002::/:/bin/sh\nci:x:1003:1003::/:/bin/sh\n"})
	d.Import(t, "linked:latest", linked)
	d.Import(t, "nobody:latest", dockertest.Full().With("USER elsewhere"))
	e := ofProject(t, d, nil)
	a, err := e.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	var unknown []string
	for _, c := range []struct{ configured, image, want string }{
		{"", fullImage, ""},
		{"0:0", ciImage, ""},
		{"root:ci", ciImage, ""},
		{"00", ciImage, ""},
		{"1000:1000", fullImage, "-u-1000"},
		{"01000", fullImage, "-u-1000"},
		{"", ciImage, "-u-1000"},
		{"ci", fullImage, "-u-1000"},
		{"", otherImage, "-u-1001"},
		{"ci:root", otherImage, "-u-1001"},
		{"", "linked:latest", "-u-1002"},
		{"", "nobody:latest", "?"},
		{"elsewhere", fullImage, "?"},
	} {
		im, err := a.image(t.Context(), docker.Container{Name: c.image})
		if err != nil {
			t.Fatal(err)
		}
		e.plan.Image.User = c.configured
		got, err := e.ownerPart(t.Context(), a, im)
		if c.want == "?" && strings.HasPrefix(got, "-d-") && !slices.Contains(unknown, got) {
			unknown = append(unknown, got)
			got = "?"
		}
		if err != nil || got != c.want {
			t.Errorf("%q, %s: %q %v", c.configured, c.image, got, err)
		}
	}
	if left, _ := d.Docker(t, "ps", "-aq", "--filter", "label="+docker.LabelJob+"="+e.plan.Mark); left != "" {
		t.Errorf("left behind: %s", left)
	}
	e.plan.Image.User = ""
	if err := a.create(t.Context(), client.ContainerCreateOptions{
		Name: e.plan.ContainerName(roleUsers, 0), HostConfig: &container.HostConfig{}, Config: &container.Config{Image: fullImage, Cmd: []string{"x"}, Labels: e.plan.Labels(roleUsers)},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.ownerPart(t.Context(), a, image{id: ciImage, user: "ci"}); err == nil {
		t.Error("a name that is taken is no error")
	}
	if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestGitTrustsNothingOutsideTheBuilds(t *testing.T) {
	e := &Engine{plan: docker.Plan{BuildsVolume: "b", BuildsDir: "/builds"}}
	for dir, want := range map[string]string{
		"/builds/acme/shop": "/builds/acme/shop", "/builds/acme/shop/": "/builds/acme/shop",
		"/builds": "", "/builds/..": "", "/builds/../srv/x": "", "/buildsx/y": "", "*": "", "": "", "acme/shop": "", "/": "",
	} {
		if got := e.repository(dir); got != want {
			t.Errorf("%q: %q", dir, got)
		}
	}
}
