package docker

// This file says when a container is no wall: what of the configuration lets a
// job reach its host, and with it the runner's credentials, other jobs'
// sessions and EnvRole itself.

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"envrole/executor"
	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

// risk is a key of the configuration that lets jobs reach the host.
type risk struct{ key, why string }

// risks lists what of v lets jobs reach their host. authority are paths of the
// host that decide what a job may do, or keep it; nil if they are not known.
func risks(v schema.Values, authority []string) []risk {
	var out []risk
	if v.Flag(keyPriv) {
		out = append(out, risk{keyPriv, "jobs can do whatever root can on this host"})
	}
	for _, s := range v.Texts(keyCapAdd) {
		// With NET_RAW a job writes its own packets, past every route.
		raw := capability(s) == "NET_RAW" && v.Text(keyMetadata) == MetadataBlock
		if raw || !slices.Contains(harmlessCapabilities(), capability(s)) {
			out = append(out, risk{keyCapAdd, s + " can lead a job out of its container, or around what keeps it from the metadata service"})
		}
	}
	if v.Text(keyNetwork) == hostNetwork {
		out = append(out, risk{keyNetwork, "host: jobs reach every service that trusts this host's own addresses"})
	}
	for _, volume := range v.Texts(keyVolumes) {
		m, why := parseVolume(volume)
		if why != "" || !strings.HasPrefix(m.source, "/") {
			continue
		}
		if why := risky(m, append(slices.Clone(authority), engineSocket(v)...)); why != "" {
			out = append(out, risk{keyVolumes, volume + ": " + why})
		}
	}
	return out
}

func engineSocket(v schema.Values) []string {
	if name, ok := strings.CutPrefix(v.Text(keyHost), "unix://"); ok {
		return []string{name}
	}
	return nil
}

// risky says why a directory of the host must not be in a job's container, or
// "". It looks through symbolic links, as the Engine does.
func risky(m mount, authority []string) string {
	names := []string{m.source}
	if real := resolve(m.source); real != m.source {
		names = append(names, real)
	}
	for _, name := range names {
		if why := riskyPath(name, m.readOnly, authority); why != "" {
			return why
		}
	}
	return ""
}

func riskyPath(name string, readOnly bool, authority []string) string {
	if strings.HasSuffix(name, ".sock") {
		return "a socket; whoever can write to the Engine's is root on its host"
	}
	for _, a := range authority {
		for _, a := range []string{filepath.Clean(a), resolve(a)} {
			// Read-only does not make a socket harmless, nor what EnvRole keeps.
			if within(a, name) || within(name, a) {
				return "holds, or is part of, " + a + ", by which roles are decided or the Engine is commanded"
			}
		}
	}
	for _, dir := range secretDirs() {
		if within(name, dir) && !slices.ContainsFunc(harmless(), func(open string) bool { return within(name, open) }) || within(dir, name) {
			return "holds other programs' secrets, or sockets of this host's services"
		}
	}
	if readOnly {
		return ""
	}
	for _, dir := range systemDirs() {
		if within(name, dir) || within(dir, name) {
			return "jobs could change programs or settings of this host"
		}
	}
	return ""
}

// secretDirs must not even be read. In /tmp the runner keeps the payloads of
// running jobs, with their tokens. In /etc anything may lie: units of systemd and
// /etc/default have the environment of services, the runner's AWS keys perhaps. So
// it is with people's homes, and with what services keep and write: agents of the
// cloud have a role of the host's below /var/lib.
func secretDirs() []string {
	dirs := []string{"/proc", "/dev", "/root", "/run", "/var/run", "/tmp", "/etc", "/home", "/var/lib", "/var/log", "/var/backups"}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) && filepath.Clean(home) != "/" {
		dirs = append(dirs, filepath.Clean(home))
	}
	return dirs
}

// harmless is what of them every program of the host may read anyway.
func harmless() []string {
	return []string{"/etc/ssl/certs", "/etc/ca-certificates", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/localtime", "/etc/timezone"}
}

// systemDirs must not be written.
func systemDirs() []string {
	return []string{"/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/sbin", "/sys", "/usr", "/var/lib/dpkg", "/var/lib/rpm", "/var/spool"}
}

// resolve follows symbolic links as far as the path exists.
func resolve(name string) string {
	name = filepath.Clean(name)
	rest := ""
	for dir := name; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		if dir == "/" || dir == "." {
			return name
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// MayLend implements executor.Base: no role for a job that can reach its host,
// unless the administrator has written that jobs may.
func (*Base) MayLend(_ context.Context, j executor.Job, _ json.RawMessage, authority []string) error {
	if j.Values.Text(keyTrust) == trusted {
		return nil
	}
	found := risks(j.Values, append(slices.Clone(authority), j.StateDir))
	if len(found) == 0 {
		return nil
	}
	var texts []string
	for _, r := range found {
		texts = append(texts, "executor.docker."+r.key+": "+r.why)
	}
	return fault.New(fault.Refused, "lend a role to", "jobs in these containers", errors.New(strings.Join(texts, "; ")),
		"Administrator: remove the keys named above, or, if every job on this runner may have what its host has, set executor.docker."+keyTrust+` = "trusted".`)
}
