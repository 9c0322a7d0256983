package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"envrole/executor/docker"
	"envrole/roles/fault"
)

// image is one that the Engine has.
type image struct {
	name  string
	id    string
	user  string   // that it runs as, as it says it
	ports []string // exposed TCP ports
}

// obtain makes sure that the Engine has an image, by the first of its policies
// that succeeds.
func (e *Engine) obtain(ctx context.Context, a *api, c docker.Container, logins logins, log io.Writer) (image, error) {
	policies := c.Pull
	if len(policies) == 0 {
		policies = []string{"always"}
	}
	var errs []error
	for _, policy := range policies {
		got, err := e.obtainBy(ctx, a, policy, c, logins, log)
		if err == nil {
			return got, nil
		}
		if ctx.Err() != nil {
			return image{}, err
		}
		errs = append(errs, fmt.Errorf("pull policy %s: %w", policy, err))
	}
	return image{}, fault.New(fault.ClassOf(errs[len(errs)-1]), "get image", c.Name, errors.Join(errs...), fault.HelpOf(errs[len(errs)-1]))
}

func (e *Engine) obtainBy(ctx context.Context, a *api, policy string, c docker.Container, logins logins, log io.Writer) (image, error) {
	if policy == "always" {
		if err := e.pull(ctx, a, c, logins, log); err != nil {
			return image{}, err
		}
	}
	got, err := a.image(ctx, c)
	if err != nil || got.id != "" {
		return got, err
	}
	switch policy {
	case "never":
		return image{}, fault.New(fault.Permanent, "find image", c.Name, errors.New("the Engine does not have it"),
			"Load it on the Engine's host, or allow another pull policy.")
	case "if-not-present":
		if err := e.pull(ctx, a, c, logins, log); err != nil {
			return image{}, err
		}
		if got, err = a.image(ctx, c); err != nil || got.id != "" {
			return got, err
		}
	}
	return image{}, fault.New(fault.Passing, "find image", c.Name, errors.New("it was pulled, and the Engine does not have it for this platform"), "")
}

// image looks an image up; its id is "" if the Engine does not have it, or has it
// for another platform.
func (a *api) image(ctx context.Context, c docker.Container) (image, error) {
	found := image{name: c.Name}
	err := a.call(ctx, "look for image "+c.Name, func(ctx context.Context) error {
		got, err := a.ImageInspect(ctx, c.Name)
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if p := platform(c.Platform); p != nil && (p.Architecture != got.Architecture || p.OS != got.Os) {
			return nil
		}
		found.id = got.ID
		if got.Config != nil {
			found.user = got.Config.User
			for port := range got.Config.ExposedPorts {
				if number, ok := strings.CutSuffix(port, "/tcp"); ok {
					found.ports = append(found.ports, number)
				}
			}
		}
		return nil
	})
	return found, err
}

// platform reads "os/architecture[/variant]"; nil is the Engine's own.
func platform(s string) *ocispec.Platform {
	parts := strings.SplitN(s, "/", 3)
	if len(parts) < 2 {
		return nil
	}
	p := &ocispec.Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p
}

func (e *Engine) pull(ctx context.Context, a *api, c docker.Container, logins logins, log io.Writer) error {
	say(log, "pulling image %s", c.Name)
	began := time.Now()
	auth, secret := logins.of(c.Name)
	options := client.ImagePullOptions{}
	if secret != "" {
		encoded, err := authconfig.Encode(auth)
		if err != nil {
			return fault.New(fault.Internal, "encode login for", registryOf(c.Name), errors.New("it cannot be encoded"), "")
		}
		options.RegistryAuth = encoded
	}
	if p := platform(c.Platform); p != nil {
		options.Platforms = []ocispec.Platform{*p}
	}
	digest := ""
	err := a.within(ctx, orElse(e.plan.PullTimeout, defaultPullTimeout), "pull image "+c.Name, func(ctx context.Context) error {
		answer, err := a.ImagePull(ctx, c.Name, options)
		if err != nil {
			return unmasked(pullFault(c.Name, err, secret != ""), secret)
		}
		defer answer.Close()
		digest, err = follow(answer)
		if err != nil {
			return unmasked(pullFault(c.Name, err, secret != ""), secret)
		}
		return nil
	})
	if err != nil {
		return err
	}
	say(log, "pulled image %s%s in %s", c.Name, digest, time.Since(began).Round(100*time.Millisecond))
	return nil
}

// follow reads the messages of a pull to their end, and the digest among them.
func follow(r io.Reader) (digest string, err error) {
	for d := json.NewDecoder(r); ; {
		var m jsonstream.Message
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return digest, nil
		case err != nil:
			return "", err
		case m.Error != nil:
			return "", m.Error
		}
		if rest, ok := strings.CutPrefix(m.Status, "Digest: "); ok {
			digest = " (" + rest + ")"
		}
	}
}

// pullFault says of a failed pull whether another try may help.
func pullFault(name string, err error, login bool) error {
	text := err.Error()
	for _, s := range []string{"manifest unknown", "not found", "does not exist", "access denied", "unauthorized", "authentication required", "no basic auth credentials", "denied:", "no matching manifest", "invalid reference"} {
		if strings.Contains(text, s) {
			help := "See that the image exists and that the job's user may read it; "
			if login {
				help += "a login for " + registryOf(name) + " was used: the job's DOCKER_AUTH_CONFIG, executor.docker.auth_file, or GitLab's own, in this order."
			} else {
				help += "there was no login for " + registryOf(name) + ": DOCKER_AUTH_CONFIG may hold one."
			}
			return fault.New(fault.Permanent, "pull image", name, err, help)
		}
	}
	return err
}

// unmasked makes sure that an error's text does not hold the login's secret: it
// comes from the Engine and, in part, from the registry.
func unmasked(err error, secret string) error {
	if err == nil || secret == "" || !strings.Contains(err.Error(), secret) {
		return err
	}
	return fault.New(fault.ClassOf(err), "pull image", "", errors.New(strings.ReplaceAll(err.Error(), secret, "[redacted]")), fault.HelpOf(err))
}

// say prints one line of EnvRole's own into the job's log.
func say(log io.Writer, format string, args ...any) {
	fmt.Fprintf(log, "envrole: "+format+"\n", args...)
}
