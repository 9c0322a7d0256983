package docker

import (
	"slices"
	"strings"
	"testing"

	"envrole/roles"
	"envrole/roles/settings/schema"
)

// said runs every check on v, as the reader of the configuration does.
func said(v values) *notes {
	n := &notes{}
	table := New(Engine{}).Table()
	for _, k := range table.Keys {
		if k.Check == nil || !v.Given(k.Name) {
			continue
		}
		list := v.Texts(k.Name)
		if k.Kind == schema.Text {
			list = []string{v.Text(k.Name)}
		}
		for _, s := range list {
			if why := k.Check(s); why != "" {
				n.Problem(k.Name, why)
			}
		}
	}
	table.Check(v, schema.Use{Chosen: true, Lends: true}, n)
	return n
}

func TestTheTableIsSound(t *testing.T) {
	table := New(Engine{}).Table()
	if table.Name != "docker" || !slices.Equal(table.Deliveries, []string{roles.DeliveryEnv, roles.DeliveryEndpoint}) || table.PassAWS {
		t.Errorf("%+v", table)
	}
	seen := map[string]bool{}
	for _, k := range table.Keys {
		if seen[k.Name] {
			t.Error("twice:", k.Name)
		}
		seen[k.Name] = true
		if k.Check != nil && k.Default != "" && k.Check(k.Default) != "" {
			t.Errorf("default of %s: %s", k.Name, k.Check(k.Default))
		}
		if k.OneOf != nil && k.Default != "" && !slices.Contains(k.OneOf, k.Default) {
			t.Error(k.Name)
		}
	}
	if n := said(values{}); len(n.problems)+len(n.warnings) > 0 {
		t.Error("defaults:", n)
	}
}

func TestGoodValuesAreTaken(t *testing.T) {
	for _, v := range []values{
		{keyHost: "unix:///run/podman/podman.sock"},
		{keyHost: "tcp://docker.example.com:2376", keyTLSCA: "/ca", keyTLSCert: "/cert", keyTLSKey: "/key"},
		{keyImage: "ruby:3.4", keyHelper: "registry.example.com:5000/helper@" + digestA},
		{keyImages: []string{"ruby:*", "registry.example.com/**", "{a,b}:[0-9]*"}, keyServices: []string{"*"}},
		{keyPull: []string{"always", "if-not-present"}, keyAuth: "/auth.json", keyImages: []string{"a"}, keyServices: []string{"b"}},
		{keyUser: "1000:1000"},
		{keyUsers: []string{"ci", "1000", "a.b_c-d:0"}}, // a job need ask for none of them
		{keyMemory: "512m", keyShm: "1G", keyCPUs: "1.5"},
		{keyMemory: "1073741824"},
		{keyCPUs: "2"},
		{keyNetwork: "ci"},
		{keyNetwork: "bridge"},
		{keyDNS: []string{"10.0.0.1", "fd00::1"}, keyHosts: []string{"db.example.com:10.0.0.7", "v6:[fd00::1]", "v6:fd00::1", "gw:host-gateway"}},
		{keyCapAdd: []string{"SYS_NICE", "cap_ipc_lock"}, keyCapDrop: []string{"ALL"}},
		{keySecurity: []string{"no-new-privileges", "no-new-privileges:true", "apparmor=ci", "label=type:x", "label:user:x"}},
		{keyVolumes: []string{"/certs"}},
		{keyVolumes: []string{"data:/data:ro"}},
		{keyBuilds: "/srv/builds", keyCache: "/srv/cache"},
	} {
		if n := said(v); len(n.problems)+len(n.warnings) > 0 {
			t.Errorf("%v: %+v", v, n)
		}
	}
}

func TestBadValuesAreNamed(t *testing.T) {
	for _, c := range []struct {
		v    values
		want string
	}{
		{values{keyHost: "/var/run/docker.sock"}, "host: must be"},
		{values{keyHost: "unix://docker.sock"}, "host: must be an absolute path"},
		{values{keyHost: "http://localhost:2375"}, "host: must be"},
		{values{keyHost: "tcp://localhost"}, "host: must be"},
		{values{keyHost: "tcp://user@localhost:2375"}, "host: must be"},
		{values{keyHost: "ssh://host:22"}, "host: must be"},
		{values{keyHost: "tcp://10.0.0.1:2375"}, "root on its host"},
		{values{keyHost: "tcp://127.0.0.1.example.com:2375"}, "root on its host"},
		{values{keyHost: "tcp://10.0.0.1:2376", keyTLSCA: "/ca"}, "all of"},
		{values{keyTLSCA: "ca.pem"}, "absolute"},
		{values{keyImage: "$CI_REGISTRY/x"}, "default_image: must not hold $"},
		{values{keyImage: "Ruby"}, "default_image: is no image"},
		{values{keyHelper: "helper:${V}"}, "helper_image: must not hold $"},
		{values{keyImages: []string{"ruby:["}}, "allowed_images: has a ["},
		{values{keyServices: []string{""}}, "allowed_services: is empty"},
		{values{keyPull: []string{"sometimes"}}, "pull_policy: must be always"},
		{values{keyPulls: []string{"never"}}, "no image could be used"},
		{values{keyUser: "a b"}, "user: must be"},
		{values{keyMemory: "512 MB"}, "memory: must be a size"},
		{values{keyMemory: "-1"}, "memory"},
		{values{keyMemory: "1t"}, "memory"},
		{values{keyMemory: "512"}, "at least 1m"},
		{values{keyMemory: "9999999999999999999g"}, "memory"},
		{values{keyMemory: "9007199254740993g"}, "memory"},
		{values{keyMemory: "1.5g"}, "memory"},
		{values{keyMemory: "m"}, "memory"},
		{values{keyCPUs: "1,5"}, "cpus"},
		{values{keyCPUs: "0"}, "cpus"},
		{values{keyCPUs: "NaN"}, "cpus"},
		{values{keyCPUs: "1e3"}, "cpus"},
		{values{keyCPUs: "."}, "cpus"},
		{values{keyShm: "x"}, "shm_size"},
		{values{keyNetwork: "a b"}, "network: must be the name"},
		{values{keyNetwork: "container:"}, "network"},
		{values{keyNetwork: "host"}, `metadata = "block" cannot be held`},
		{values{keyNetwork: "container:x"}, "network: must be"},
		{values{keyNetwork: "none"}, "network: must be"},
		{values{keyDNS: []string{"dns.example.com"}}, "dns: must be an IP"},
		{values{keyHosts: []string{"db.example.com"}}, "extra_hosts"},
		{values{keyHosts: []string{"db:x"}}, "extra_hosts"},
		{values{keyHosts: []string{":1.2.3.4"}}, "extra_hosts"},
		{values{keyCapAdd: []string{"SYS_EVERYTHING"}}, "cap_add: is no capability"},
		{values{keySecurity: []string{"seccomp=/etc/profile.json"}}, "security_opt: takes only"},
		{values{keySecurity: []string{"systempaths=unconfined"}}, "security_opt"},
		{values{keySecurity: []string{""}}, "security_opt"},
		{values{keyVolumes: []string{"data"}}, "volumes"},
		{values{keyVolumes: []string{"../x:/x"}}, "volumes"},
		{values{keyVolumes: []string{"/a/../b:/x"}}, "volumes"},
		{values{keyVolumes: []string{"/a:/"}}, "volumes"},
		{values{keyVolumes: []string{"/a:/x:shared"}}, "volumes: option"},
		{values{keyVolumes: []string{"/a:/x:ro:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/a:x"}}, "volumes"},
		{values{keyVolumes: []string{"$HOME:/x"}}, "volumes"},
		{values{keyVolumes: []string{"envrole-builds-0-5-protected:/x"}}, "belong to one project"},
		{values{keyVolumes: []string{"/srv/x:/builds/x"}}, "lies over"},
		{values{keyVolumes: []string{"data:/cache"}}, "lies over"},
		{values{keyBuilds: "builds"}, "builds_dir: must be an absolute"},
		{values{keyBuilds: "/a/../b"}, "builds_dir"},
		{values{keyCache: "/builds/cache"}, "cache_dir: must not be"},
	} {
		n := said(c.v)
		if !slices.ContainsFunc(n.problems, func(p string) bool { return strings.Contains(p, c.want) }) {
			t.Errorf("%v: %q, want %q", c.v, n.problems, c.want)
		}
	}
}

func TestWhatIsGivenUpIsSaid(t *testing.T) {
	for _, c := range []struct {
		v    values
		want string
	}{
		{values{keyPriv: true}, "privileged: jobs can do whatever root can on this host; no role is lent"},
		{values{keyPriv: true, keyTrust: trusted}, "privileged: jobs can do whatever root can on this host"},
		{values{keyCapAdd: []string{"SYS_ADMIN"}}, "cap_add"},
		{values{keyVolumes: []string{"/var/run/docker.sock:/var/run/docker.sock"}}, "root on its host"},
		{values{keyVolumes: []string{"/srv/x:/x:ro"}}, "share this directory of the host"},
		{values{keyAuth: "/etc/envrole/auth.json"}, "whatever these logins can read"},
		{values{keyVolumes: []string{"data:/x"}}, "share this volume"},
		{values{keyMetadata: MetadataAllow}, "metadata: jobs can reach"},
		{values{keyNetwork: "host", keyMetadata: MetadataAllow}, "network: host"},
		{values{keySecurity: []string{"seccomp=unconfined"}}, "security_opt"},
		{values{keySecurity: []string{"label=disable"}}, "security_opt"},
		{values{keySecurity: []string{"apparmor:unconfined"}}, "security_opt"},
		{values{keyHost: "tcp://127.0.0.1:2375"}, "host: every user"},
		{values{keyPull: []string{"never"}}, "another project pulled with its own credentials; set allowed_images and allowed_services"},
		{values{keyPull: []string{"never"}, keyImage: "ruby:3.4"}, "set allowed_images and allowed_services"}, // a job may name another
		{values{keyPulls: []string{"always", "never"}, keyImages: []string{"a"}}, "another project pulled with its own credentials; set allowed_services"},
		{values{keyAuth: "/etc/envrole/auth.json", keyImages: []string{"a"}}, "whatever these logins can read; set allowed_services"},
		{values{keyTLSCA: "/ca", keyTLSCert: "/c", keyTLSKey: "/k"}, "unix socket"},
		{values{keyUser: "ci"}, "user: ci is whoever a job's image says"},
		{values{keyUser: "ci:1000"}, "user: ci is whoever a job's image says"},
		{values{keyUser: "1", keyUsers: []string{"2"}}, "allowed_users: has no effect"},
	} {
		n := said(c.v)
		if len(n.problems) > 0 || !slices.ContainsFunc(n.warnings, func(p string) bool { return strings.Contains(p, c.want) }) {
			t.Errorf("%v: %+v, want %q", c.v, n, c.want)
		}
	}
}
