package engine

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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

// Jobs whose images have different users follow each other in one project.
func TestImagesOfDifferentUsersFollowEachOther(t *testing.T) {
	d := engineFor(t)
	d.Import(t, otherImage, dockertest.Full().
		WithFile("/etc/passwd", dockertest.File{Mode: 0o644, Content: "root:x:0:0:root:/root:/bin/sh\nci:x:1001:1001::/tmp:/bin/sh\n"}).With("USER ci"))
	t.Setenv(projectDir, "/builds/acme/shop")
	repo := bundle(t)
	helper := &docker.Container{Name: fullImage, Pull: []string{"never"}}
	for name, c := range map[string]struct {
		helper *docker.Container
		ids    string
	}{"with a helper": {helper, "0"}, "without": {}} {
		t.Run(name, func(t *testing.T) {
			for _, image := range []string{fullImage, ciImage, fullImage, ciImage} {
				e, _ := preparedPlan(t, ofProject(t, d, func(p *docker.Plan) {
					p.Image.Name, p.Helper, p.Volumes = image, c.helper, []string{repo + ":/repo:ro"}
				}).plan)
				id := map[string]string{fullImage: "0", ciImage: "1000"}[image]
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
	// Only the name is the same: then they share a volume, and what the scripts
	// of the runner made is everybody's.
	t.Run("of one name", func(t *testing.T) {
		for _, image := range []string{ciImage, otherImage, ciImage} {
			e, _ := preparedPlan(t, ofProject(t, d, func(p *docker.Plan) {
				p.Image.Name, p.Volumes = image, []string{repo + ":/repo:ro"}
			}).plan)
			if out := must(t, e, "get_sources", getSources); !strings.HasSuffix(out, ".git\nfile\n") {
				t.Errorf("%s: %q", image, out)
			}
			if out := must(t, e, "build_script", "cd /builds/acme/shop && git status --short && echo more >>file && echo x >new && git status --short"); out != " M file\n?? new\n" {
				t.Errorf("%s: %q", image, out)
			}
			if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
				t.Error(err)
			}
		}
	})
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
