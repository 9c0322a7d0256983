package docker

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"envrole/roles/fault"
)

func TestServicesAnswerToTheNamesOfTheirImages(t *testing.T) {
	for _, c := range []struct{ service, want string }{
		{`{"name":"postgres:16"}`, "postgres"},
		{`{"name":"tutum/wordpress:latest"}`, "tutum__wordpress tutum-wordpress"},
		{`{"name":"registry.example.com:5000/a/b:1"}`, "registry.example.com__a__b registry.example.com-a-b"},
		{`{"name":"docker.io/library/redis"}`, "docker.io__library__redis docker.io-library-redis"},
		{`{"name":"redis@` + digestA + `"}`, "redis"},
		{`{"name":"redis","alias":"db"}`, "redis db"},
		{`{"name":"redis","alias":" a, b  c,,"}`, "redis a b c"},
		{`{"name":"redis","alias":"$ALIAS"}`, "redis from-variable"},
		{`{"name":"redis","alias":"redis REDIS"}`, "redis"},
	} {
		p, notes, err := planOf(t, `"image":{"name":"a"},"services":[`+c.service+`],"variables":[{"key":"ALIAS","value":"from-variable"}]`, values{})
		if err != nil || len(notes) > 0 || len(p.Services) != 1 || strings.Join(p.Services[0].Aliases, " ") != c.want {
			t.Errorf("%s: %v, %v, %+v", c.service, err, notes, p.Services)
		}
	}
}

func TestANameIsTheFirstServicesThatHasIt(t *testing.T) {
	p, notes, err := planOf(t, `"image":{"name":"a"},"services":[{"name":"redis:6","alias":"db"},{"name":"redis:7","alias":"cache"},{"name":"postgres","alias":"DB"},{"name":"redis:8"}]`, values{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Services {
		got = append(got, s.Name+" "+strings.Join(s.Aliases, ","))
	}
	want := []string{"docker.io/library/redis:6 redis,db", "docker.io/library/redis:7 cache", "docker.io/library/postgres:latest postgres"}
	if !slices.Equal(got, want) || len(notes) != 4 || !strings.Contains(notes[3], "services[3] is not started") {
		t.Errorf("%q\n%q", got, notes)
	}
}

func TestTheNumberOfServicesIsBounded(t *testing.T) {
	service := `{"name":"redis"}`
	_, _, err := planOf(t, `"image":{"name":"a"},"services":[`+strings.Repeat(service+",", maxServices)+service+`]`, values{})
	if err == nil || fault.ClassOf(err) != fault.Refused {
		t.Error(err)
	}
}

func TestAliasesAreHostNames(t *testing.T) {
	for _, alias := range []string{"a/b", "a;b", "-a", "a-", "a..b", "ä", strings.Repeat("a", 64), "$(id)", "a:b", "a\\u0000b"} {
		_, _, err := planOf(t, `"image":{"name":"a"},"services":[{"name":"redis","alias":"`+alias+`"}]`, values{})
		if err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "services[0]:alias") {
			t.Errorf("%s: %v", alias, err)
		}
	}
}

// A service has the job's public variables and its own: no secret of the
// project, and nothing of the runner's.
func TestServicesSeePublicVariablesAndTheirOwn(t *testing.T) {
	p, _, err := planOf(t, `"image":{"name":"a"},
		"variables":[
			{"key":"CI_JOB_ID","value":"77","public":true},
			{"key":"CI_JOB_TOKEN","value":"`+token+`","public":false,"masked":true},
			{"key":"POSTGRES_DB","value":"$NAME","public":true},
			{"key":"NAME","value":"shop","public":true},
			{"key":"RAW","value":"$NAME","public":true,"raw":true},
			{"key":"PASSWORD","value":"from-yaml","public":true},
			{"key":"PASSWORD","value":"project-secret","public":false},
			{"key":"CONF","value":"content of a file","public":true,"file":true},
			{"key":"A=B","value":"x","public":true}],
		"services":[
			{"name":"postgres","variables":[{"key":"OWN","value":"$NAME-$FIRST"},{"key":"FIRST","value":"1"},{"key":"POSTGRES_DB","value":"mine"},{"key":"CHOSEN","value":"$CI_JOB_TOKEN"},{"key":"PLAIN","value":"$NAME","raw":true}]},
			{"name":"redis"}]`, values{},
		"PASSWORD", "project-secret", "CI_JOB_TOKEN", token, "NAME", "shop", "RUNNER_TEMP_PROJECT_DIR", "/builds/x.tmp", "AWS_ACCESS_KEY_ID", "AKIA")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"CI_JOB_ID": "77", "POSTGRES_DB": "shop", "NAME": "shop", "RAW": "$NAME", "PASSWORD": "from-yaml", "CONF": "/builds/x.tmp/CONF"}
	if got := p.Services[1].Env; !maps.Equal(got, want) {
		t.Errorf("redis: %v", got)
	}
	maps.Copy(want, map[string]string{"OWN": "shop-1", "FIRST": "1", "POSTGRES_DB": "mine", "PLAIN": "$NAME", "CHOSEN": token}) // asked for by name
	if got := p.Services[0].Env; !maps.Equal(got, want) {
		t.Errorf("postgres: %v", got)
	}
}

func TestVariablesThatNoContainerTakesAreNamed(t *testing.T) {
	long := strings.Repeat("x", maxVariable)
	for _, members := range []string{
		`"services":[{"name":"redis","variables":[{"key":"LONG","value":"` + long + `"}]}]`,
		`"services":[{"name":"redis","variables":[{"key":"LONG","value":"$A$A$A"}]}],"variables":[{"key":"A","value":"` + long + `"}]`,
		`"services":[{"name":"redis"}],"variables":[{"key":"LONG","value":"` + long + `","public":true}]`,
		`"services":[{"name":"redis","variables":[{"key":"LONG","value":"a\u0000b"}]}]`,
	} {
		_, _, err := planOf(t, `"image":{"name":"a"},`+members, values{})
		if err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "LONG") {
			t.Errorf("%.60s: %v", members, err)
		}
	}
}

// Whom the configuration lets jobs be, their services may be, and nobody else.
func TestAServiceAsksForNoUserThatAJobMayNot(t *testing.T) {
	for _, c := range []struct {
		user string
		v    values
		ok   bool
	}{
		{"root", values{}, true},
		{"root", values{keyUser: "1000"}, false},
		{"1000", values{keyUser: "1000"}, true},
		{"", values{keyUser: "1000"}, true}, // the image's own
		{"root", values{keyUsers: []string{"1000", "ci"}}, false},
		{"ci", values{keyUsers: []string{"1000", "ci"}}, true},
		{"$U", values{keyUsers: []string{"$U"}}, false}, // expanded first
	} {
		p, _, err := planOf(t, `"image":{"name":"a"},"services":[{"name":"b","executor_opts":{"docker":{"user":"`+c.user+`"}}}],"variables":[{"key":"U","value":"root"}]`, c.v)
		if (err == nil) != c.ok {
			t.Errorf("%q with %v: %v", c.user, c.v, err)
		}
		if err != nil && (fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "services[0]:docker:user")) {
			t.Errorf("%q: %v", c.user, err)
		}
		if err == nil && p.Services[0].User != c.user {
			t.Errorf("%q runs as %q", c.user, p.Services[0].User)
		}
	}
}
