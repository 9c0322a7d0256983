package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"envrole/executor"
	"envrole/executor/docker"
	"envrole/roles/fault"
)

// removeTries is how often the removal of a network or volume is tried that
// somebody still uses: the Engine lets go of it a moment after its container.
const removeTries = 20

// removeRounds is how often it is looked again for what came meanwhile.
const removeRounds = 5

// Cleanup implements executor.Executor: it removes what carries the job's label,
// with anonymous volumes. It needs nothing of the plan but Engine, Mark and Host.
func (e *Engine) Cleanup(ctx context.Context, stdout, _ io.Writer) error {
	if e.plan.Mark == "" || e.plan.Host == "" {
		return fault.New(fault.Internal, "remove containers", "", errors.New("the plan does not say whose"), "")
	}
	a, err := e.dial()
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	removed, err := a.remove(ctx, label(docker.LabelHost, e.plan.Host), label(docker.LabelJob, e.plan.Mark))
	if len(removed) > 0 {
		say(stdout, "removed %s", strings.Join(removed, ", "))
	}
	return err
}

func label(name, value string) string { return name + "=" + value }

// Sweep removes what is left in the Engine of jobs of p's host whose lease alive
// denies. Of p, Host and what concerns the Engine are used. Volumes that outlive
// jobs carry no mark and stay. What it removed it says on log.
func Sweep(ctx context.Context, p docker.Plan, alive func(leaseID string) bool, log io.Writer) error {
	if p.Host == "" {
		return fault.New(fault.Internal, "sweep containers", "", errors.New("nobody says whose"), "")
	}
	a, err := (&Engine{plan: p}).dial()
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	leases, err := a.leases(ctx, p.Host)
	if client.IsErrConnectionFailed(err) {
		return unreached{err}
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, lease := range leases {
		if alive(lease) {
			continue
		}
		removed, err := a.remove(ctx, label(docker.LabelHost, p.Host), label(docker.LabelJob, docker.Mark(lease)))
		if len(removed) > 0 {
			fmt.Fprintf(log, "removed of a dead job: %s\n", strings.Join(removed, ", "))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// unreached is an error that is also executor.ErrUnreached.
type unreached struct{ error }

func (u unreached) Is(target error) bool { return target == executor.ErrUnreached }

func (u unreached) Unwrap() error { return u.error }

// labelled selects by labels.
func labelled(labels ...string) client.Filters { return client.Filters{}.Add("label", labels...) }

// leases are those of all jobs of which something is left.
func (a *api) leases(ctx context.Context, host string) ([]string, error) {
	var leases []string
	found := func(labels map[string]string) {
		lease := labels[docker.LabelLease]
		if docker.Mark(lease) == labels[docker.LabelJob] && !slices.Contains(leases, lease) {
			leases = append(leases, lease)
		}
	}
	err := a.call(ctx, "list what is left of jobs", func(ctx context.Context) error {
		by := labelled(label(docker.LabelHost, host), docker.LabelJob)
		containers, err := a.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: by})
		if err != nil {
			return err
		}
		networks, err := a.NetworkList(ctx, client.NetworkListOptions{Filters: by})
		if err != nil {
			return err
		}
		volumes, err := a.VolumeList(ctx, client.VolumeListOptions{Filters: by})
		if err != nil {
			return err
		}
		for _, c := range containers.Items {
			found(c.Labels)
		}
		for _, n := range networks.Items {
			found(n.Labels)
		}
		for _, v := range volumes.Items {
			found(v.Labels)
		}
		return nil
	})
	return leases, err
}

// thing is what can be removed.
type thing struct {
	kind, id, name string
	remove         func(context.Context) error
}

// remove removes all that carries every one of labels, and says what that was.
// What is gone already is no error. It looks again until there is nothing: what
// a prepare asked for that was just killed, the Engine may still make.
func (a *api) remove(ctx context.Context, labels ...string) (removed []string, err error) {
	for range removeRounds {
		var some []string
		some, err = a.removeFound(ctx, labelled(labels...))
		removed = append(removed, some...)
		if len(some) == 0 {
			break
		}
	}
	return removed, err
}

// removeFound removes containers first: the Engine keeps the networks and
// volumes of those that are left.
func (a *api) removeFound(ctx context.Context, by client.Filters) (removed []string, err error) {
	containers, err := a.containers(ctx, by)
	if err != nil {
		return nil, err
	}
	first, err1 := a.removeAll(ctx, containers)
	rest, err := a.networksAndVolumes(ctx, by)
	if err != nil {
		return first, errors.Join(err1, err)
	}
	second, err2 := a.removeAll(ctx, rest)
	return append(first, second...), errors.Join(err1, err2)
}

func (a *api) containers(ctx context.Context, by client.Filters) (all []thing, err error) {
	err = a.call(ctx, "list containers", func(ctx context.Context) error {
		got, err := a.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: by})
		for _, c := range got.Items {
			name := c.ID
			if len(c.Names) > 0 {
				name = strings.TrimPrefix(c.Names[0], "/")
			}
			all = append(all, thing{"container", c.ID, name, func(ctx context.Context) error {
				_, err := a.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
				return err
			}})
		}
		return err
	})
	return all, err
}

func (a *api) networksAndVolumes(ctx context.Context, by client.Filters) (all []thing, err error) {
	err = a.call(ctx, "list networks and volumes", func(ctx context.Context) error {
		networks, err := a.NetworkList(ctx, client.NetworkListOptions{Filters: by})
		if err != nil {
			return err
		}
		for _, n := range networks.Items {
			all = append(all, thing{"network", n.ID, n.Name, func(ctx context.Context) error {
				_, err := a.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
				return err
			}})
		}
		volumes, err := a.VolumeList(ctx, client.VolumeListOptions{Filters: by})
		for _, v := range volumes.Items {
			all = append(all, thing{"volume", v.Name, v.Name, func(ctx context.Context) error {
				_, err := a.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
				return err
			}})
		}
		return err
	})
	return all, err
}

// removeAll removes things at once, each with its own deadline.
func (a *api) removeAll(ctx context.Context, things []thing) (removed []string, err error) {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, t := range things {
		wg.Go(func() {
			err := a.call(ctx, fmt.Sprintf("remove %s %s", t.kind, t.name), func(ctx context.Context) error { return patiently(ctx, t.remove) })
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			removed = append(removed, t.kind+" "+t.name)
		})
	}
	wg.Wait()
	slices.Sort(removed)
	return removed, errors.Join(errs...)
}

// patiently tries again while something is still in use, or somebody else is
// just removing it.
func patiently(ctx context.Context, remove func(context.Context) error) error {
	for try := 1; ; try++ {
		err := remove(ctx)
		switch {
		case err == nil || gone(err):
			return nil
		case try == removeTries || !inUse(err):
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

func inUse(err error) bool {
	text := err.Error()
	return cerrdefs.IsConflict(err) || strings.Contains(text, "active endpoints") || strings.Contains(text, "in use") || strings.Contains(text, "already in progress")
}
