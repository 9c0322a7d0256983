package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/roles/fault"
)

// Prepare implements executor.Executor: images, network, volumes, services and
// the containers in which scripts will run. When it returns, nothing of the job
// has run but the entrypoints of its images.
func (e *Engine) Prepare(ctx context.Context, log io.Writer) error {
	log = &lines{out: log}
	if err := e.check(log); err != nil {
		return err
	}
	a, err := e.dial()
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	if err := a.ping(ctx); err != nil {
		return err
	}
	payload, err := readPayload(e.plan.PayloadFile, e.plan.AuthFile)
	if err != nil {
		return err
	}
	for _, note := range payload.notes {
		say(log, "%s", note)
	}
	var agentID string
	images := images{services: make([]image, len(e.plan.Services))}
	err = together(ctx,
		func(ctx context.Context) error {
			program, err := readAgent() // beside the others: it takes some milliseconds
			if err != nil {
				return err
			}
			agentID, err = program.ensure(ctx, a)
			return err
		},
		a.boundLogs,
		func(ctx context.Context) error { return e.ensureNetwork(ctx, a) },
		func(ctx context.Context) error {
			if err := e.obtainAll(ctx, a, payload.logins, &images, log); err != nil {
				return err
			}
			if err := e.takeSlot(ctx, a, images.job); err != nil {
				return err
			}
			return e.ensureVolumes(ctx, a)
		},
	)
	if err != nil {
		return err
	}
	if err := e.startServices(ctx, a, agentID, images.services, log); err != nil {
		return err
	}
	work := []func(context.Context) error{func(ctx context.Context) error {
		if err := a.begin(ctx, e.jobOptions(images.job.id), log); err != nil {
			return err
		}
		return e.look(ctx, a, e.jobContainer(), e.plan.Image.Name, e.plan.Helper == nil, payload, log)
	}}
	if e.plan.Helper != nil {
		work = append(work, func(ctx context.Context) error {
			if err := a.begin(ctx, e.helperOptions(images.helper.id), log); err != nil {
				return err
			}
			return e.look(ctx, a, e.helperContainer(), e.plan.Helper.Name, true, payload, log)
		})
	}
	return together(ctx, work...)
}

// check refuses a plan that cannot be carried out safely.
func (e *Engine) check(log io.Writer) error {
	p := e.plan
	if p.Mark == "" || p.Host == "" || p.Engine == "" || p.Image.Name == "" {
		return fault.New(fault.Internal, "prepare containers", "", errors.New("the plan is not complete"), "")
	}
	if strings.HasPrefix(p.Network, "container:") || p.Network == "host" && e.blocks() {
		// The routes would be the host's own.
		return fault.New(fault.Permanent, "use", "executor.docker.network", fmt.Errorf("%q: the metadata services cannot be blocked there", p.Network),
			`Name a network of the Engine, or leave the key out; with network = "host", metadata = "allow" must be written out.`)
	}
	if e.blocks() && (p.Privileged || containsAny(p.CapAdd, "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_MODULE")) {
		say(log, "warning: by executor.docker.privileged or cap_add this job can undo the block of the metadata services")
	}
	return nil
}

func containsAny(have []string, names ...string) bool {
	for _, name := range names {
		for _, h := range have {
			if isCapability(name)(h) {
				return true
			}
		}
	}
	return false
}

// images are those of a job, present in the Engine.
type images struct {
	job, helper image
	services    []image
}

// obtainAll gets the images one after another: their lines in the log follow
// each other, and layers they share are pulled once.
func (e *Engine) obtainAll(ctx context.Context, a *api, l logins, into *images, log io.Writer) (err error) {
	known := map[string]image{}
	get := func(c docker.Container) (image, error) {
		key := strings.Join(append([]string{c.Name, c.Platform}, c.Pull...), "\x00")
		if got, ok := known[key]; ok {
			return got, nil
		}
		got, err := e.obtain(ctx, a, c, l, log)
		known[key] = got
		return got, err
	}
	for i, c := range e.plan.Services {
		if into.services[i], err = get(c); err != nil {
			return err
		}
	}
	if e.plan.Helper != nil {
		if into.helper, err = get(*e.plan.Helper); err != nil {
			return err
		}
	}
	into.job, err = get(e.plan.Image)
	return err
}

// ensureNetwork makes the job's network, unless the configuration names one.
func (e *Engine) ensureNetwork(ctx context.Context, a *api) error {
	if e.plan.Network != "" {
		return nil
	}
	return a.make(ctx, "create network "+e.network(), func(ctx context.Context) error {
		_, err := a.NetworkCreate(ctx, e.network(), client.NetworkCreateOptions{Driver: "bridge", Labels: e.plan.Labels(docker.RoleNetwork)})
		return err
	})
}

// ensureVolumes makes the job's volumes, and finds or makes those of its
// project.
func (e *Engine) ensureVolumes(ctx context.Context, a *api) error {
	volume := func(name string, labels map[string]string) func(context.Context) error {
		return func(ctx context.Context) error { return e.ensureVolume(ctx, a, name, labels) }
	}
	var work []func(context.Context) error
	if e.plan.BuildsVolume != "" {
		work = append(work, volume(e.buildsVolume(), e.plan.VolumeLabels(docker.RoleBuilds)))
	}
	if e.plan.CacheVolume != "" {
		work = append(work, volume(e.cacheVolume(), e.plan.VolumeLabels(docker.RoleCache)))
	}
	for i, v := range e.plan.Volumes {
		if anonymous(v) {
			work = append(work, volume(e.ownVolume(i), e.plan.Labels(roleVolume)))
		}
	}
	return together(ctx, work...)
}

// ensureVolume makes a volume. One that is there already must be ours.
func (e *Engine) ensureVolume(ctx context.Context, a *api, name string, labels map[string]string) error {
	return a.make(ctx, "create volume "+name, func(ctx context.Context) error {
		made, err := a.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: labels})
		if err != nil {
			return err
		}
		for k, v := range labels {
			if made.Volume.Labels[k] != v {
				return fault.New(fault.Permanent, "use volume", name, fmt.Errorf("there is one of this name without the label %s=%s: it was not made by this EnvRole for this project", k, v),
					"See whose it is (docker volume inspect "+name+") and rename or remove it.")
			}
		}
		return nil
	})
}

// together does all of work at once and waits for all. The first failure ends
// the others.
func together(ctx context.Context, work ...func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	for _, f := range work {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				once.Do(func() {
					first = err
					cancel(err)
				})
			}
		})
	}
	wg.Wait()
	return first
}

// lines is a log that several write to.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func gone(err error) bool { return cerrdefs.IsNotFound(err) }
