package doctest

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// listed gives what `go list` prints, a line a package.
func listed(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	return strings.Fields(string(out))
}

func below(pkg string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return pkg == d || strings.HasPrefix(pkg, d+"/") })
}

// imports gives the direct imports of every package of ours, without tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		all[f[0]] = f[1:]
	}
	if len(all) < 30 {
		t.Fatalf("only %d packages", len(all))
	}
	return all
}

func TestFastStagesDoNotLinkTheAWSSDK(t *testing.T) {
	for _, program := range []string{"envrole/cmd/envrole-config", "envrole/cmd/envrole-run"} {
		for _, dep := range listed(t, "-deps", program) {
			if below(dep, "github.com/aws") {
				t.Errorf("%s links %s", program, dep)
			}
		}
	}
	// The same look finds it where it belongs: the test can fail.
	if !slices.Contains(listed(t, "-deps", "envrole/cmd/envrole-prepare"), "github.com/aws/aws-sdk-go-v2/service/sts") {
		t.Error("envrole-prepare has no STS client")
	}
}

func TestOnlyTheFullProgramLinksTheEnginesClient(t *testing.T) {
	for _, program := range []string{"envrole-config", "envrole-prepare", "envrole-run", "envrole-cleanup"} {
		for _, dep := range listed(t, "-deps", "envrole/cmd/"+program) {
			if below(dep, "github.com/moby", "envrole/executor/docker/engine") {
				t.Errorf("%s links %s", program, dep)
			}
		}
	}
	if !slices.Contains(listed(t, "-deps", "envrole/cmd/envrole"), "github.com/moby/moby/client") {
		t.Error("envrole has no client of the Engine")
	}
}

func TestTheRunStageReadsNoConfigurationAndWritesNoAuditLog(t *testing.T) {
	for _, dep := range listed(t, "-deps", "envrole/cmd/envrole-run") {
		if below(dep, "github.com", "envrole/roles/settings") && dep != "envrole/roles/settings/schema" || below(dep, "envrole/internal/audit") {
			t.Errorf("envrole-run links %s", dep)
		}
	}
}

// A run sub-stage makes no network call, and speaks its corner of HTTP itself.
func TestTheRunStageLinksNoHTTP(t *testing.T) {
	for _, dep := range listed(t, "-deps", "envrole/cmd/envrole-run") {
		if below(dep, "net/http", "crypto/tls", "net/textproto") {
			t.Errorf("envrole-run links %s", dep)
		}
	}
	if !slices.Contains(listed(t, "-deps", "envrole/cmd/envrole-prepare"), "net/http") {
		t.Error("envrole-prepare has no HTTP client")
	}
}

func TestDecisionRestsOnTheStandardLibrary(t *testing.T) {
	for _, dep := range listed(t, "-deps", "envrole/roles") {
		if dep != "envrole/roles" && strings.ContainsAny(strings.SplitN(dep, "/", 2)[0], ".") || below(dep, "envrole/executor", "envrole/internal") {
			t.Errorf("roles depends on %s", dep)
		}
		if below(dep, "net/http", "os/exec") {
			t.Errorf("roles can do I/O: %s", dep)
		}
	}
}

func TestDirectionsOfImports(t *testing.T) {
	const mask = "envrole/executor/mask"
	for pkg, list := range imports(t) {
		for _, imp := range list {
			switch {
			case below(pkg, "envrole/roles") && below(imp, "envrole/executor", "envrole/internal", "envrole/cmd"):
				t.Errorf("%s imports %s: roles never look up", pkg, imp)
			case below(pkg, mask) && below(imp, "envrole"):
				t.Errorf("%s imports %s: the filter imports nothing of ours", pkg, imp)
			case below(pkg, "envrole/executor") && below(imp, "envrole/internal", "envrole/roles/session", "envrole/roles/lease", "envrole/roles/revoke"):
				t.Errorf("%s imports %s: a base takes an environment and a writer", pkg, imp)
			case below(imp, "github.com/aws/aws-sdk-go-v2/service/sts") && !below(pkg, "envrole/roles/session"):
				t.Errorf("%s imports the STS client", pkg)
			case below(imp, "github.com/aws/aws-sdk-go-v2/service/iam") && !below(pkg, "envrole/roles/revoke/iamclient"):
				t.Errorf("%s imports the IAM client", pkg)
			}
		}
	}
}

func TestNoStandInIsLinkedIntoAProgram(t *testing.T) {
	for _, dep := range listed(t, "-deps", "./cmd/...") {
		if strings.HasPrefix(dep, "envrole/internal/fake") || below(dep, "envrole/internal/demo", "envrole/internal/bench", "envrole/internal/e2e", "testing",
			"github.com/hashicorp", "github.com/zclconf", "pgregory.net/rapid", "net/http/httptest") {
			t.Errorf("a program links %s", dep)
		}
	}
}

// The table of rooms has every package and no other.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	named := map[string]bool{}
	for _, row := range table(section(t, "docs/architecture.md", "## Rooms")) {
		for _, p := range quoted(row[0]) {
			named["envrole/"+p] = true
		}
	}
	for _, pkg := range listed(t, "./...") {
		if !named[pkg] {
			t.Errorf("%s is in no row of the table", pkg)
		}
		delete(named, pkg)
	}
	for pkg := range named {
		t.Errorf("there is no package %s", pkg)
	}
}
