package docker

import (
	"strings"
	"time"

	"envrole/roles"
	"envrole/roles/settings/schema"
)

// The keys of [executor.docker].
const (
	keyHost     = "host"
	keyTLSCA    = "tls_ca"
	keyTLSCert  = "tls_cert"
	keyTLSKey   = "tls_key"
	keyImage    = "default_image"
	keyImages   = "allowed_images"
	keyServices = "allowed_services"
	keyHelper   = "helper_image"
	keyAuth     = "auth_file"
	keyPull     = "pull_policy"
	keyPulls    = "allowed_pull_policies"
	keyUser     = "user"
	keyUsers    = "allowed_users"
	keyShell    = "shell"
	keyBuilds   = "builds_dir"
	keyCache    = "cache_dir"
	keyVolumes  = "volumes"
	keyNetwork  = "network"
	keyDNS      = "dns"
	keyHosts    = "extra_hosts"
	keyMetadata = "metadata"
	keyMemory   = "memory"
	keyCPUs     = "cpus"
	keyPids     = "pids_limit"
	keyShm      = "shm_size"
	keyCapAdd   = "cap_add"
	keyCapDrop  = "cap_drop"
	keySecurity = "security_opt"
	keyPriv     = "privileged"
	keyReadOnly = "read_only"
	keyTrust    = "host_access"
	keyGrace    = "grace"
	keyWait     = "service_wait"
	keyTimeout  = "timeout"
	keyPullTime = "pull_timeout"
)

// The words of keys that have some.
const (
	MetadataBlock = "block"
	MetadataAllow = "allow"

	trusted     = "trusted"
	hostNetwork = "host"
)

// DefaultHost is where the Engine listens unless the configuration says
// otherwise.
const DefaultHost = "unix:///var/run/docker.sock"

const (
	minGrace       = time.Second
	maxGrace       = 9 * time.Minute // the runner itself waits ten
	maxWait        = 10 * time.Minute
	minTimeout     = time.Second
	maxTimeout     = 10 * time.Minute
	maxPullTimeout = 2 * time.Hour
	maxPids        = 4 << 20 // the kernel's own limit
)

// Table implements executor.Base.
func (*Base) Table() schema.Table {
	return schema.Table{
		Name: "docker",
		Keys: []schema.Key{
			{Name: keyHost, Default: DefaultHost, Check: checkHost},
			{Name: keyTLSCA, Check: schema.AbsolutePath},
			{Name: keyTLSCert, Check: schema.AbsolutePath},
			{Name: keyTLSKey, Check: schema.AbsolutePath},
			{Name: keyImage, Check: checkImage},
			{Name: keyImages, Kind: schema.Texts, Check: checkPattern},
			{Name: keyServices, Kind: schema.Texts, Check: checkPattern},
			{Name: keyHelper, Check: checkImage},
			{Name: keyAuth, Check: schema.AbsolutePath},
			{Name: keyPull, Kind: schema.Texts, Check: checkPull},
			{Name: keyPulls, Kind: schema.Texts, Check: checkPull},
			{Name: keyUser, Check: checkUser},
			{Name: keyUsers, Kind: schema.Texts, Check: checkUser},
			{Name: keyShell, Default: "bash", OneOf: []string{"bash", "sh"}},
			{Name: keyBuilds, Default: "/builds", Check: checkInside},
			{Name: keyCache, Default: "/cache", Check: checkInside},
			{Name: keyVolumes, Kind: schema.Texts, Check: checkVolume},
			{Name: keyNetwork, Check: checkNetwork},
			{Name: keyDNS, Kind: schema.Texts, Check: checkAddress},
			{Name: keyHosts, Kind: schema.Texts, Check: checkExtraHost},
			{Name: keyMetadata, Default: MetadataBlock, OneOf: []string{MetadataBlock, MetadataAllow}},
			{Name: keyMemory, Check: checkSize},
			{Name: keyCPUs, Check: checkCPUs},
			{Name: keyPids, Kind: schema.Number, Default: "0", Least: 0, Most: maxPids},
			{Name: keyShm, Check: checkSize},
			{Name: keyCapAdd, Kind: schema.Texts, Check: checkCapability},
			{Name: keyCapDrop, Kind: schema.Texts, Check: checkCapability},
			{Name: keySecurity, Kind: schema.Texts, Check: checkSecurityOpt},
			{Name: keyPriv, Kind: schema.Flag, Default: "false"},
			{Name: keyReadOnly, Kind: schema.Flag, Default: "false"},
			{Name: keyTrust, OneOf: []string{trusted}},
			{Name: keyGrace, Kind: schema.Duration, Default: "10s", Min: minGrace, Max: maxGrace},
			{Name: keyWait, Kind: schema.Duration, Default: "30s", Max: maxWait},
			{Name: keyTimeout, Kind: schema.Duration, Default: "2m", Min: minTimeout, Max: maxTimeout},
			{Name: keyPullTime, Kind: schema.Duration, Default: "30m", Min: minTimeout, Max: maxPullTimeout},
		},
		// The profile needs files and a socket that the job shares with the
		// runner's host. The endpoint is brought onto the container's loopback.
		Deliveries: []string{roles.DeliveryEnv, roles.DeliveryEndpoint},
		Check:      check,
	}
}

// check notes what is wrong between keys, and what gives something up.
func check(v schema.Values, use schema.Use, n schema.Notes) {
	checkEngine(v, n)
	checkPolicies(v, n)
	checkDirs(v, n)
	if !use.Chosen {
		return
	}
	if use.Lends && v.Text(keyTrust) != trusted {
		for _, r := range risks(v, nil) {
			n.Warn(r.key, r.why+"; no role is lent to such jobs unless "+keyTrust+` = "trusted"`)
		}
	} else {
		for _, r := range risks(v, nil) {
			n.Warn(r.key, r.why)
		}
	}
	if v.Text(keyMetadata) == MetadataAllow {
		n.Warn(keyMetadata, "jobs can reach the cloud's metadata service, and so may get the role of the runner's own machine")
	}
	for _, option := range v.Texts(keySecurity) {
		if unconfined(option) {
			n.Warn(keySecurity, option+" takes away a wall between jobs and this host's kernel")
		}
	}
	for _, volume := range v.Texts(keyVolumes) {
		switch m, _ := parseVolume(volume); {
		case m.source == "" || risky(m, nil) != "":
		case strings.HasPrefix(m.source, "/"):
			n.Warn(keyVolumes, volume+": jobs of every project share this directory of the host")
		case !m.readOnly:
			n.Warn(keyVolumes, volume+": jobs of every project, on protected and unprotected refs, share this volume: one can leave code there for another")
		}
	}
	if user, _, _ := strings.Cut(v.Text(keyUser), ":"); user != "root" && strings.Trim(user, "0123456789") != "" {
		n.Warn(keyUser, user+" is whoever a job's image says, and it may say root; a number is the same user in each")
	}
	open := openLists(v)
	if v.Text(keyAuth) != "" && open != "" {
		n.Warn(keyAuth, "every job can pull whatever these logins can read; set "+open)
	}
	if use.Lends && open != "" && containsNever(v) {
		n.Warn(keyPulls, "with if-not-present or never, every job can use every image on this host, also those that another project pulled with its own credentials; set "+open)
	}
}

func checkEngine(v schema.Values, n schema.Notes) {
	given := 0
	for _, key := range []string{keyTLSCA, keyTLSCert, keyTLSKey} {
		if v.Text(key) != "" {
			given++
		}
	}
	tcp := strings.HasPrefix(v.Text(keyHost), "tcp://")
	switch {
	case given > 0 && !tcp:
		n.Warn(keyHost, "is a unix socket: "+keyTLSCA+", "+keyTLSCert+" and "+keyTLSKey+" have no effect")
	case given > 0 && given < 3:
		n.Problem(keyHost, "needs all of "+keyTLSCA+", "+keyTLSCert+" and "+keyTLSKey+", or none of them")
	case tcp && given == 0 && !loopback(v.Text(keyHost)):
		n.Problem(keyHost, "without "+keyTLSCA+", "+keyTLSCert+" and "+keyTLSKey+" must be on 127.0.0.1, [::1] or localhost: whoever can write to the Engine is root on its host")
	case tcp && given == 0:
		n.Warn(keyHost, "every user and every program on this host can command the Engine, and so is root; a unix socket has an owner")
	}
}

func checkPolicies(v schema.Values, n schema.Notes) {
	if allowed := v.Texts(keyPulls); len(allowed) > 0 && len(intersect(pullDefault(v), allowed)) == 0 {
		n.Problem(keyPulls, "must hold one of "+keyPull+" (by default always): no image could be used")
	}
	if user := v.Text(keyUser); user != "" && v.Given(keyUsers) {
		n.Warn(keyUsers, "has no effect beside "+keyUser+", which goes before what a job asks for; remove one of them")
	}
}

func checkDirs(v schema.Values, n schema.Notes) {
	builds, cache := v.Text(keyBuilds), v.Text(keyCache)
	if within(builds, cache) || within(cache, builds) {
		n.Problem(keyCache, "must not be "+keyBuilds+", nor within it or around it: they are two volumes")
	}
	for _, volume := range v.Texts(keyVolumes) {
		m, why := parseVolume(volume)
		if why != "" {
			continue // said already
		}
		if within(m.target, builds) || within(builds, m.target) || within(m.target, cache) || within(cache, m.target) {
			n.Problem(keyVolumes, volume+": lies over "+keyBuilds+" or "+keyCache+", which are volumes of each project")
		}
	}
	if v.Text(keyNetwork) == hostNetwork && v.Text(keyMetadata) == MetadataBlock {
		n.Problem(keyNetwork, "host gives jobs this host's own network, where nothing can be kept from them: metadata = \"block\" cannot be held; use another network, or write metadata = \"allow\"")
	}
}
