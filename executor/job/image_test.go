package job

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"envrole/roles/fault"
)

// containersOf reads a payload that has these members besides a token.
func containersOf(t *testing.T, members string) (*Containers, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "response.json")
	text := `{"id":1,"token":"` + fuzzToken + `","job_info":{"project_id":1}`
	if members != "" {
		text += "," + members
	}
	if err := os.WriteFile(path, []byte(text+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	return ReadContainers(path)
}

func TestImageAndServicesAreReadAsTheRunnerWritesThem(t *testing.T) {
	c, err := containersOf(t, `
		"image":{"name":"ruby:$V","entrypoint":["/bin/sh","-c"],"pull_policy":["always","never"],"executor_opts":{"docker":{"platform":"linux/arm64","user":1000},"kubernetes":{"user":""}}},
		"services":[{"name":"postgres:16","alias":"db, pg","command":["postgres"],"entrypoint":[""],"variables":[{"key":"A","value":"$B","raw":true}],"executor_opts":{"docker":{"user":"postgres"}}},{"name":"redis"}],
		"variables":[{"key":"V","value":"3.4","public":true},{"key":"S","value":"s3cr3t","masked":true,"file":true}],"suspend_options":{}`)
	if err != nil {
		t.Fatal(err)
	}
	im := c.Image
	if im.Name != "ruby:$V" || !slices.Equal(im.Entrypoint, []string{"/bin/sh", "-c"}) || !slices.Equal(im.Pull, []string{"always", "never"}) || im.Platform != "linux/arm64" || im.User != "1000" {
		t.Errorf("image %+v", im)
	}
	s := c.Services[0]
	if len(c.Services) != 2 || s.Alias != "db, pg" || s.Command[0] != "postgres" || s.User != "postgres" || !s.Variables[0].Raw || s.Variables[0].Value.Reveal() != "$B" {
		t.Errorf("services %+v", c.Services)
	}
	if v := c.Variables; len(v) != 2 || !v[0].Public || v[1].Public || !v[1].File || v[1].Value.Reveal() != "s3cr3t" {
		t.Errorf("variables %+v", v)
	}
	if err := c.UnsupportedError(); err != nil {
		t.Error(err)
	}
}

func TestPayloadsOfRunnersWithoutContainersAreReadToo(t *testing.T) {
	for _, file := range []string{"runner_17.json", "honest_production.json"} {
		c, err := ReadContainers(filepath.Join("testdata", file))
		if err != nil || c.Image.Name != "" || len(c.Services) != 0 || len(c.Variables) == 0 || c.UnsupportedError() != nil {
			t.Errorf("%s: %v, %v", file, err, c.UnsupportedError())
		}
	}
	for _, members := range []string{"", `"image":null,"services":null,"variables":null`, `"image":{"name":""},"services":[]`} {
		if c, err := containersOf(t, members); err != nil || !reflect.DeepEqual(*c, Containers{}) {
			t.Errorf("%s: %v, %+v", members, err, c)
		}
	}
}

func TestCacheAndArtifactsAreSeen(t *testing.T) {
	for members, want := range map[string]bool{
		"": false, `"cache":null,"artifacts":[],"dependencies":[]`: false,
		`"cache":[{"key":"k"}]`: true, `"artifacts":[{"paths":["x"]}]`: true, `"dependencies":[{"id":1}]`: true,
	} {
		if c, err := containersOf(t, members); err != nil || c.Transfers != want {
			t.Errorf("%s: %v, %t", members, err, c.Transfers)
		}
	}
}

func TestKeywordsThatNothingHonoursAreRefusedByName(t *testing.T) {
	for _, c := range []struct{ members, want string }{
		{`"image":{"name":"a","ports":[{"number":80}]}`, "image:ports"},
		{`"image":{"name":"a","alias":"b"}`, "image:alias"},
		{`"image":{"name":"a","command":["b"]}`, "image:command"},
		{`"image":{"name":"a","variables":[{"key":"A","value":"b"}]}`, "image:variables"},
		{`"image":{"name":"a","gpus":"all"}`, "image:gpus"},
		{`"image":{"Name":"a"}`, `image:"Name"`}, // not the name of the image by another spelling
		{`"image":{"name":"a","executor_opts":{"docker":{"privileged":true}}}`, "image:docker:privileged"},
		{`"image":{"name":"a","executor_opts":{"kubernetes":{"user":"1000"}}}`, "image:kubernetes:user"},
		{`"image":{"name":"a","executor_opts":{"docker":{"user":"1000"},"kubernetes":{"user":"1000"}}}`, ""}, // said for docker too
		{`"image":{"name":"a","executor_opts":{"podman":{"x":1}}}`, "image:podman"},
		{`"services":[{"name":"a"},{"name":"b","ports":[{"number":80}]}]`, "services[1]:ports"},
		{`"services":[{"name":"a","executor_opts":{"kubernetes":{"user":1}}}]`, "services[0]:kubernetes:user"},
		{`"suspend_options":{"suspend_on_success":true}`, "suspend_options:suspend_on_success"},
		{`"suspend_options":{"runtime_environment_key":"x"}`, "suspend_options:runtime_environment_key"},
		{`"image":{"name":"a","ports":[],"alias":"","new_keyword":null,"another":{"x":[]}}`, ""}, // asks for nothing
	} {
		got, err := containersOf(t, c.members)
		if err != nil {
			t.Errorf("%s: %v", c.members, err)
			continue
		}
		err = got.UnsupportedError()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || fault.ClassOf(err) != fault.Refused) {
			t.Errorf("%s: %v, want %q", c.members, err, c.want)
		}
	}
}

func TestAmbiguousContainersAreAnError(t *testing.T) {
	for _, members := range []string{
		`"image":{"name":"allowed","name":"other"}`,
		`"image":{"name":"a"},"image":{"name":"b"}`,
		`"services":[{"name":"a","executor_opts":{"docker":{"user":"1","user":"0"}}}]`,
		`"variables":[{"key":"A","value":"b","value":"c"}]`,
		`"image":"ruby"`, `"image":["ruby"]`, `"image":{"name":["ruby"]}`, `"services":{"name":"a"}`, `"services":["a"]`,
		`"image":{"name":"a","entrypoint":"sh"}`, `"image":{"name":"a","executor_opts":{"docker":{"user":-1}}}`,
	} {
		if c, err := containersOf(t, members); err == nil || fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%s: %v, read as %+v", members, err, c)
		}
	}
}

func TestRegistryCredentialsAreReadApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "response.json")
	text := `{"id":1,"token":"` + fuzzToken + `",
		"variables":[{"key":"DOCKER_AUTH_CONFIG","value":"{\"auths\":{\"old.example.com\":{\"auth\":\"b2xkOm9sZA==\"}}}"},
			{"key":"DOCKER_AUTH_CONFIG","value":"{\"credHelpers\":{\"x\":\"evil\"},\"auths\":{\"a.example.com\":{\"auth\":\"bWU6aHVudGVyMg==\"},\"b.example.com\":{\"auth\":\"!\"},\"c.example.com\":{\"username\":\"u\",\"password\":\"pw-c\"},\"d.example.com\":{},\"e.example.com\":{\"identitytoken\":\"id-e\"}}}"}],
		"credentials":[{"type":"registry","url":"registry.example.com:5005","username":"gitlab-ci-token","password":"` + fuzzToken + `"},{"type":"other","url":"x","password":"y"}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := `{"credsStore":"ecr-login","auths":{"a.example.com":{"auth":"YWRtaW46YQ=="},"registry.example.com:5005":{"auth":"YWRtaW46cg=="}}}`
	creds, notes, err := ReadRegistryCredentials(RegistrySources{Payload: path, Runner: `{"auths":{"r.example.com":{"auth":"cjpy"}}}`, Admin: admin, AdminName: "auth_file"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range creds {
		got = append(got, c.URL+" "+c.Username+" "+c.Password.Reveal()+c.IdentityToken.Reveal())
	}
	want := []string{"a.example.com me hunter2", "c.example.com u pw-c", "e.example.com  id-e", "a.example.com admin a", "registry.example.com:5005 admin r", "registry.example.com:5005 gitlab-ci-token " + fuzzToken}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	all := strings.Join(notes, "\n")
	if len(notes) != 4 || !strings.Contains(all, "auth_file: credsStore is not used") || !strings.Contains(all, "credHelpers") || strings.Contains(all, "evil") || strings.Contains(all, "hunter2") {
		t.Errorf("notes %q", notes)
	}
	// The runner's own counts where the payload has none.
	if err := os.WriteFile(path, []byte(`{"id":1,"token":"`+fuzzToken+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	creds, _, err = ReadRegistryCredentials(RegistrySources{Payload: path, Runner: `{"auths":{"r.example.com":{"auth":"cjpy"}}}`})
	if err != nil || len(creds) != 1 || creds[0].URL != "r.example.com" {
		t.Errorf("%v %v", creds, err)
	}
}

// Whatever the file holds: no panic, and no error that repeats a secret.
func FuzzReadContainers(f *testing.F) {
	f.Add([]byte(`{"id":1,"job_info":{"project_id":1},"token":"` + fuzzToken + `","image":{"name":"a","executor_opts":{"docker":{"user":1}}},"services":[{"name":"b","variables":[{"key":"k","value":"v"}]}]}`))
	f.Add([]byte(`{"id":1,"job_info":{"project_id":1},"token":"` + fuzzToken + `","image":{"name":"` + fuzzToken + `","` + fuzzToken + `":1},"suspend_options":{"a":true}}`))
	f.Add([]byte(`{"credentials":[{"type":"registry","url":"r","password":"p"}],"variables":[{"key":"DOCKER_AUTH_CONFIG","value":"{\"auths\":{\"r\":{\"auth\":\"YTpi\"}}}"}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(dir, "response.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		// Only a payload with its token says which text that is.
		p, err := ReadPayload(path)
		known := err == nil && p.Token.Reveal() == fuzzToken
		check := func(err error) {
			if known {
				withoutToken(t, err.Error())
			}
		}
		c, err := ReadContainers(path)
		if err != nil {
			check(err)
		} else if err := c.UnsupportedError(); err != nil {
			check(err)
		}
		if _, _, err := ReadRegistryCredentials(RegistrySources{Payload: path, Admin: string(b)}); err != nil {
			check(err)
		}
	})
}
