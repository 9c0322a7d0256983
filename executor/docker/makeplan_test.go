package docker

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"envrole/executor"
	"envrole/roles/fault"
)

func TestAPlanHoldsAllThatTheConfigurationAndTheJobSay(t *testing.T) {
	p, notes, err := planOf(t, `"image":{"name":"$R/tool:$V","entrypoint":[""],"pull_policy":["never"],"executor_opts":{"docker":{"user":"$U","platform":"linux/$ARCH"}}},
		"variables":[{"key":"R","value":"old"},{"key":"R","value":"registry.example.com/g"},{"key":"V","value":"$MAJOR.4"},{"key":"MAJOR","value":"3"},{"key":"U","value":"1000:1000"},{"key":"ARCH","value":"arm64"}]`,
		values{
			keyHelper: "helper:1", keyAuth: "/etc/envrole/auth.json", keyPulls: []string{"always", "never"}, keyVolumes: []string{"/srv/x:/x:ro"}, keyMemory: "512m", keyCPUs: "1.5", keyPids: int64(100), keyShm: "1g",
			keyCapDrop: []string{"cap_net_raw"}, keyCapAdd: []string{"SYS_NICE"}, keyDNS: []string{"10.0.0.1"}, keyReadOnly: true, keyGrace: 3 * time.Second,
		})
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	host := HostID("/var/lib/envrole")
	want := Plan{
		Engine: DefaultHost, LeaseID: "lease-of-this-job", Mark: Mark("lease-of-this-job"), Host: host, JobID: 77, ProjectID: 5, PayloadFile: p.PayloadFile, AuthFile: "/etc/envrole/auth.json",
		Image:  Container{Name: "registry.example.com/g/tool:3.4", Entrypoint: []string{""}, User: "1000:1000", Platform: "linux/arm64", Pull: []string{"never"}},
		Helper: &Container{Name: "docker.io/library/helper:1", Pull: []string{"always"}},
		Shell:  "bash", BuildsDir: "/builds", CacheDir: "/cache",
		BuildsVolume: "envrole-builds-" + host + "-5-unprotected", CacheVolume: "envrole-cache-" + host + "-5-unprotected",
		Volumes: []string{"/srv/x:/x:ro"}, DNS: []string{"10.0.0.1"}, Metadata: "block",
		Memory: 512 << 20, NanoCPUs: 15e8, PidsLimit: 100, ShmSize: 1 << 30, CapAdd: []string{"SYS_NICE"}, CapDrop: []string{"NET_RAW"}, ReadOnly: true,
		Grace: 3 * time.Second, ServiceWait: 30 * time.Second, Timeout: 2 * time.Minute, PullTimeout: 30 * time.Minute,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %s\nwant %s", text(p), text(want))
	}
}

// What the runner itself says of a variable goes before the payload: there are
// the variables of its config.toml, and those that it sets after the job's.
func TestTheRunnersOwnValuesGoFirst(t *testing.T) {
	for _, c := range []struct{ image, want string }{
		{"$MIRROR/ruby", "mirror.example.com/ruby:latest"},
		{"${MIRROR}/ruby:$BOTH", "mirror.example.com/ruby:runner"},
		{"ruby$UNKNOWN:${ONLY_PAYLOAD}", "docker.io/library/ruby:p"},
		{"ruby:a$1b", "docker.io/library/ruby:ab"},
	} {
		p, _, err := planOf(t, `"image":{"name":"`+c.image+`"},"variables":[{"key":"BOTH","value":"payload"},{"key":"ONLY_PAYLOAD","value":"p"}]`,
			values{}, "MIRROR", "mirror.example.com", "BOTH", "runner")
		if err != nil || p.Image.Name != c.want {
			t.Errorf("%s: %v, %s", c.image, err, p.Image.Name)
		}
	}
}

func TestProtectedRefsHaveVolumesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, project := range []int64{5, 51} {
		for _, protected := range []bool{true, false} {
			for _, state := range []string{"/var/lib/envrole", "/srv/other"} {
				j := jobOf(t, `"image":{"name":"a"}`, values{})
				j.ProjectID, j.RefProtected, j.StateDir = project, protected, state
				p, _, err := makePlan(j, environ())
				if err != nil || seen[p.BuildsVolume] || seen[p.CacheVolume] || p.BuildsVolume == p.CacheVolume {
					t.Fatal(err, p.BuildsVolume, p.CacheVolume, seen)
				}
				seen[p.BuildsVolume], seen[p.CacheVolume] = true, true
			}
		}
	}
}

func TestTheDefaultImageIsForJobsWithoutOne(t *testing.T) {
	v := values{keyImage: "ruby:3.4", keyImages: []string{"node:*"}}
	for _, c := range []struct{ image, want string }{
		{`""`, "docker.io/library/ruby:3.4"},
		{`"  "`, "docker.io/library/ruby:3.4"},
		{`"docker.io/library/ruby:3.4"`, "docker.io/library/ruby:3.4"}, // by name, as in the runner
		{`"node:1"`, "docker.io/library/node:1"},
		{`"ruby:3.3"`, ""},
		{`"$EMPTY"`, ""}, // not "no image": the author wrote one
	} {
		p, _, err := planOf(t, `"image":{"name":`+c.image+`}`, v)
		if (err == nil) != (c.want != "") || p.Image.Name != c.want {
			t.Errorf("%s: %v, %s", c.image, err, p.Image.Name)
		}
	}
	if _, _, err := planOf(t, "", values{}); err == nil || !strings.Contains(err.Error(), "names no image") {
		t.Error(err)
	}
}

// The list is of what an image is, after everything that an author can write
// into its name has been expanded.
func TestForgedNamesDoNotGetPastTheList(t *testing.T) {
	v := values{keyImages: []string{"registry.example.com/ci/*:*", "ruby:3.*"}, keyServices: []string{"postgres:*"}}
	variables := `"variables":[{"key":"EVIL","value":"evil.example.com/x"},{"key":"SLASH","value":"/../../evil/"},{"key":"NL","value":"\nevil"},
		{"key":"CI_REGISTRY","value":"registry.example.com"},{"key":"CI_REGISTRY","value":"evil.example.com"},
		{"key":"AT","value":"@` + digestA + `"},{"key":"NESTED","value":"$EVIL"},{"key":"HASH","value":"#"},{"key":"SELF","value":"$SELF"}]`
	for _, image := range []string{
		"evil.example.com/x", "$EVIL", "${EVIL}", "$NESTED", "registry.example.com/ci/$EVIL", "registry.example.com/ci${SLASH}x:1", "registry.example.com/ci/x:1$NL",
		"$CI_REGISTRY/ci/x:1", "ruby:3.4$AT", "ruby$AT", "ruby:3.4@" + digestA, "RUBY:3.4", "Ruby:3.4", "ruby:3.4 evil.example.com/x", " ruby:3.4", "ruby:3.4\\n",
		"registry.example.com/ci/../x:1", "registry.example.com/ci//x:1", "registry.example.com/ci/a/b:1", "registry.example.com:443/ci/x:1", "registry.example.com./ci/x:1",
		"REGISTRY.example.com/ci/x:1", "registry.example.com@evil.example.com/ci/x:1", "evil.example.com/registry.example.com/ci/x:1", "registry.example.com/ci/x:1$HASH", "registry\uff0eexample.com/ci/x:1",
		"library/ruby:2", "docker.io/ruby:2", "index.docker.io/library/ruby:4", "docker.io/docker.io/ruby:3.4", "localhost/ruby:3.4", "acme/ruby:3.4", "deadbeef", digestA, strings.Repeat("a", 64),
		"$SELF", "$$EVIL", "https://registry.example.com/ci/x:1",
	} {
		q, err := json.Marshal(image)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ReplaceAll(string(q), `\\n`, `\n`)
		p, _, err := planOf(t, `"image":{"name":`+name+`},`+variables, v)
		if err == nil || fault.ClassOf(err) != fault.Refused {
			t.Errorf("image %s: %v, runs %s", name, err, p.Image.Name)
		}
		p, _, err = planOf(t, `"image":{"name":"ruby:3.4"},"services":[{"name":`+name+`}],`+variables, v)
		if err == nil || fault.ClassOf(err) != fault.Refused {
			t.Errorf("service %s: %v, runs %+v", name, err, p.Services)
		}
	}
	for _, image := range []string{"ruby:3.4", "docker.io/ruby:3.4", "index.docker.io/library/ruby:3.4", "registry.example.com/ci/x", "$REG/ci/x:1"} {
		if _, _, err := planOf(t, `"image":{"name":"`+image+`"},"variables":[{"key":"REG","value":"registry.example.com"}]`, v); err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
}

func TestUsersFollowTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		job  string
		v    values
		want string
		ok   bool
	}{
		{"", values{}, "", true},
		{"1000", values{}, "1000", true},
		{"root", values{keyUsers: []string{"1000"}}, "", false},
		{"1000", values{keyUsers: []string{"1000"}}, "1000", true},
		{"", values{keyUsers: []string{"1000"}}, "", true},
		{"", values{keyUser: "1000"}, "1000", true},
		{"root", values{keyUser: "1000"}, "", false},
		{"1000", values{keyUser: "1000"}, "1000", true},
		{"-u", values{}, "", false},
		{"a b", values{}, "", false},
		{"a:b:c", values{}, "", false},
		{"$U", values{keyUsers: []string{"$U"}}, "", false}, // expanded first
	} {
		p, _, err := planOf(t, `"image":{"name":"a","executor_opts":{"docker":{"user":"`+c.job+`"}}},"variables":[{"key":"U","value":"root"}]`, c.v)
		if (err == nil) != c.ok || p.Image.User != c.want {
			t.Errorf("%q with %v: %v, %q", c.job, c.v, err, p.Image.User)
		}
	}
}

func TestPullPoliciesStayWithinTheList(t *testing.T) {
	for _, c := range []struct {
		job, want string
		v         values
	}{
		{`[]`, "always", values{}},
		{`["always"]`, "always", values{}},
		{`["never"]`, "", values{}}, // would run what another project pulled with its own credentials
		{`["never","always"]`, "always", values{}},
		{`[]`, "if-not-present,never", values{keyPull: []string{"if-not-present", "never"}}},
		{`["never"]`, "never", values{keyPulls: []string{"always", "never"}}},
		{`["sometimes"]`, "", values{keyPulls: []string{"sometimes"}}},
	} {
		p, _, err := planOf(t, `"image":{"name":"a","pull_policy":`+c.job+`}`, c.v)
		if (err == nil) != (c.want != "") || strings.Join(p.Image.Pull, ",") != c.want {
			t.Errorf("%s with %v: %v, %v", c.job, c.v, err, p.Image.Pull)
		}
	}
}

// An image's name is shown in errors and logs; the value of a variable that
// GitLab does not call public is not, although a name may be made of it.
func TestErrorsDoNotRepeatSecretsOfTheJob(t *testing.T) {
	for _, members := range []string{
		`"image":{"name":"x/$SECRET"}`, `"image":{"name":"X$SECRET"}`, `"image":{"name":"a","executor_opts":{"docker":{"user":"$SECRET "}}}`,
		`"image":{"name":"a","executor_opts":{"docker":{"platform":"$SECRET!"}}}`, `"image":{"name":"ok"},"services":[{"name":"ok","alias":"$SECRET!"}]`,
		`"image":{"name":"x/hunter2"}`, `"image":{"name":"x/` + token + `"}`,
	} {
		_, _, err := planOf(t, members+`,"variables":[{"key":"SECRET","value":"hunter2"}]`, values{keyImages: []string{"ok", "a"}})
		if err == nil || strings.Contains(err.Error()+fault.HelpOf(err), "hunter2") || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", members, err)
		}
	}
}

func TestExpansionIsBounded(t *testing.T) {
	long := strings.Repeat("x", 3000)
	if _, err := expand("$A$A", func(string) string { return long }, 4096); err == nil {
		t.Error("6000 bytes are taken where 4096 are the most")
	}
	big := strings.Repeat("x", 100<<10)
	for _, name := range []string{strings.Repeat("$A", 2000), strings.Repeat("a", maxText+1)} {
		if _, _, err := planOf(t, `"image":{"name":"`+name+`"},"variables":[{"key":"A","value":"`+big+`"}]`, values{}); err == nil || fault.ClassOf(err) != fault.Refused {
			t.Error(err)
		}
	}
}

func TestPassEnvTakesNothingThatBreaksOutOfTheContainer(t *testing.T) {
	for name, ok := range map[string]bool{"HTTPS_PROXY": true, "AWS_ENDPOINT_URL_STS": true, "AWS_SECRET_ACCESS_KEY": false, "PATH": false, "DOCKER_HOST": false, "ENVROLE_KEY": false, "LD_PRELOAD": false, "A=B": false, "": false} {
		j := jobOf(t, `"image":{"name":"a"}`, values{})
		j.PassEnv = []string{name}
		if _, _, err := makePlan(j, environ()); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPlansNeedAJob(t *testing.T) {
	for _, change := range []func(*executor.Job){
		func(j *executor.Job) { j.LeaseID = "" }, func(j *executor.Job) { j.ProjectID = 0 }, func(j *executor.Job) { j.StateDir = "" },
		func(j *executor.Job) { j.PayloadFile = "" },
	} {
		j := jobOf(t, `"image":{"name":"a"}`, values{})
		change(&j)
		if _, _, err := makePlan(j, environ()); err == nil {
			t.Errorf("%+v is planned", j)
		}
	}
}

func FuzzExpandImage(f *testing.F) {
	f.Add("$A/x:${B}", "evil.example.com", "$A", "ruby:*")
	f.Add("ruby:${", "$$", "@"+digestA, "ruby:3.*")
	f.Fuzz(func(t *testing.T, image, a, b, pattern string) {
		if checkPattern(pattern) != "" {
			return
		}
		q := func(s string) string { return text(s) }
		p, _, err := planOf(t, `"image":{"name":`+q(image)+`},"variables":[{"key":"A","value":`+q(a)+`},{"key":"B","value":`+q(b)+`}]`, values{keyImages: []string{pattern}})
		if err != nil {
			return
		}
		ref, err := ParseReference(p.Image.Name)
		if err != nil || ref.Name() != p.Image.Name || !Allowed(ref, []string{pattern}) {
			t.Errorf("%q runs %q (%v)", image, p.Image.Name, err)
		}
	})
}
