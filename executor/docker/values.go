package docker

// This file reads the values of [executor.docker]. Each check gives what is
// wrong and what to write instead, or "".

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"envrole/roles/settings/schema"
)

// The pull policies, as in GitLab's YAML.
const (
	pullAlways       = "always"
	pullIfNotPresent = "if-not-present"
	pullNever        = "never"
)

func checkHost(s string) string {
	if name, ok := strings.CutPrefix(s, "unix://"); ok {
		return schema.AbsolutePath(name)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "tcp" || u.Hostname() == "" || u.Port() == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return `must be "unix:///path/of/docker.sock" or "tcp://host:port"`
	}
	return ""
}

func loopback(host string) bool {
	u, err := url.Parse(host)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func checkImage(s string) string {
	if strings.Contains(s, "$") {
		return "must not hold $: authors can set variables, and this image needs no entry in " + keyImages
	}
	if _, err := ParseReference(s); err != nil {
		return "is no image: " + err.Error()
	}
	return ""
}

func checkPull(s string) string {
	if !slices.Contains([]string{pullAlways, pullIfNotPresent, pullNever}, s) {
		return "must be always, if-not-present or never"
	}
	return ""
}

// checkUser takes user and group, each a name or a number.
func checkUser(s string) string {
	user, group, both := strings.Cut(s, ":")
	if !validUser(user) || both && !validUser(group) {
		return `must be a user, or user:group, by names or numbers: "1000:1000"`
	}
	return ""
}

func validUser(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.-", c)
	}) < 0
}

// checkInside takes an absolute path within a container.
func checkInside(s string) string {
	switch {
	case schema.AbsolutePath(s) != "":
		return schema.AbsolutePath(s)
	case path.Clean(s) != s:
		return "must be written as " + path.Clean(s)
	case strings.ContainsAny(s, ":\x00\n"):
		return "must not hold a colon"
	}
	return ""
}

// within says whether a path is dir or lies below it.
func within(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}

func checkNetwork(s string) string {
	if s == "none" || !validVolumeName(s) {
		return "must be the name of a network that exists, for all jobs; leave it out for a network of each job's own"
	}
	return ""
}

func checkAddress(s string) string {
	if _, err := netip.ParseAddr(s); err != nil {
		return "must be an IP address"
	}
	return ""
}

func checkExtraHost(s string) string {
	name, address, _ := strings.Cut(s, ":")
	if !validAlias(name) || address != "host-gateway" && checkAddress(strings.Trim(address, "[]")) != "" {
		return `must be a host name and an address: "db.example.com:10.0.0.7"`
	}
	return ""
}

func checkSize(s string) string {
	_, why := parseSize(s)
	return why
}

// parseSize reads a size as the Engine's own tools do: a whole number of bytes,
// or of KiB, MiB or GiB with a k, m or g behind it.
func parseSize(s string) (int64, string) {
	const want = `must be a size: a whole number with k, m or g behind it, as "512m"`
	if s == "" {
		return 0, ""
	}
	digits := strings.TrimRight(strings.ToLower(s), "bkmg")
	unit, ok := map[string]int64{
		"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30,
	}[strings.ToLower(s)[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n <= 0 || digits[0] == '+' || n > math.MaxInt64/unit {
		return 0, want
	}
	if n*unit < 1<<20 {
		return 0, "must be at least 1m: nothing runs in less"
	}
	return n * unit, ""
}

func checkCPUs(s string) string {
	_, why := parseCPUs(s)
	return why
}

// parseCPUs reads a number of processors in units of 1e-9.
func parseCPUs(s string) (int64, string) {
	const want = `must be a number of processors, as "1.5"`
	if s == "" {
		return 0, ""
	}
	if strings.Trim(s, "0123456789.") != "" {
		return 0, want
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0.01 || f > 4096 {
		return 0, want + ", from 0.01 on"
	}
	return int64(math.Round(f * 1e9)), ""
}

func checkCapability(s string) string {
	if name := capability(s); name != "ALL" && !slices.Contains(capabilities(), name) {
		return "is no capability of Linux; man 7 capabilities lists them"
	}
	return ""
}

// capability is a capability's name without CAP_, in upper case.
func capability(s string) string { return strings.TrimPrefix(strings.ToUpper(s), "CAP_") }

func capabilities() []string {
	return append(harmlessCapabilities(),
		"AUDIT_CONTROL", "AUDIT_READ", "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "LINUX_IMMUTABLE", "MAC_ADMIN",
		"MAC_OVERRIDE", "NET_ADMIN", "PERFMON", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PACCT", "SYS_PTRACE",
		"SYS_RAWIO", "SYS_TIME", "SYS_TTY_CONFIG")
}

// harmlessCapabilities are those that a container has by default, and those
// that only let it slow the host down.
func harmlessCapabilities() []string {
	return []string{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID",
		"SETPCAP", "SETUID", "SYS_CHROOT",
		"BLOCK_SUSPEND", "IPC_LOCK", "IPC_OWNER", "LEASE", "NET_BROADCAST", "SYS_NICE", "SYS_RESOURCE", "WAKE_ALARM",
	}
}

func checkSecurityOpt(s string) string {
	name, value, _ := strings.Cut(s, "=")
	if n, v, ok := strings.Cut(s, ":"); ok && strings.Contains(name, ":") {
		name, value = n, v
	}
	switch name {
	case "no-new-privileges":
		if value == "" || value == "true" || value == "false" {
			return ""
		}
	case "apparmor", "label":
		if value != "" {
			return ""
		}
	case "seccomp":
		if value == "unconfined" {
			return ""
		}
		return "takes only seccomp=unconfined: a profile is set for all containers in the Engine's own configuration"
	}
	return "must be no-new-privileges, apparmor=PROFILE, label=... or seccomp=unconfined"
}

func unconfined(option string) bool {
	return strings.HasSuffix(option, "unconfined") || strings.HasPrefix(option, "label") && strings.HasSuffix(option, "disable")
}

// mount is one entry of volumes.
type mount struct {
	source   string // path of the host, name of a volume, or "" for an anonymous one
	target   string
	readOnly bool
}

func checkVolume(s string) string {
	_, why := parseVolume(s)
	return why
}

// parseVolume reads "/host:/container[:ro]", "name:/container[:ro]" or
// "/container".
func parseVolume(s string) (mount, string) {
	parts := strings.Split(s, ":")
	m := mount{target: parts[0]}
	switch len(parts) {
	case 1:
	case 2, 3:
		m.source, m.target = parts[0], parts[1]
	default:
		return m, `must be "/host:/container", "name:/container" or "/container", with :ro behind it where jobs may only read`
	}
	if len(parts) == 3 {
		for option := range strings.SplitSeq(parts[2], ",") {
			switch option {
			case "ro":
				m.readOnly = true
			case "rw", "z", "Z":
			default:
				return m, fmt.Sprintf("option %q is none of ro, rw, z and Z", option)
			}
		}
	}
	if why := checkInside(m.target); why != "" {
		return m, "path in the container " + why
	}
	switch {
	case len(parts) == 1:
	case strings.HasPrefix(m.source, "/"):
		if path.Clean(m.source) != m.source || strings.Contains(m.source, "$") {
			return m, "path of the host must be written in full, without . and .. and variables"
		}
	case !validVolumeName(m.source):
		return m, "before the colon must stand an absolute path of the host or the name of a volume"
	case strings.HasPrefix(m.source, namePrefix):
		return m, "volumes whose name begins with " + namePrefix + " belong to one project each"
	}
	return m, ""
}

func validVolumeName(s string) bool {
	if len(s) < 2 || len(s) > 128 || strings.ContainsAny(s[:1], "_.-") {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.-", c)
	}) < 0
}

// validAlias takes what can be a host name on the job's network. Underscores
// are for the names that GitLab makes of images.
func validAlias(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !alphanumeric(c) && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func intersect(list, allowed []string) []string {
	if len(allowed) == 0 {
		return list
	}
	var out []string
	for _, s := range list {
		if slices.Contains(allowed, s) {
			out = append(out, s)
		}
	}
	return out
}

// pullDefault are the policies for a job that asks for none.
func pullDefault(v schema.Values) []string {
	if list := v.Texts(keyPull); len(list) > 0 {
		return list
	}
	return []string{pullAlways}
}
