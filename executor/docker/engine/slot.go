package engine

// This file gives a job builds volumes that no other job has while it lives.
//
// The volumes of a project are numbered, and a number is taken by making the
// volume of the agent under it: the Engine makes a volume of one name once, and
// says by its labels whose it has become. That volume carries the job's mark, so
// cleanup or a sweep gives the number back; every container that sees the builds
// mounts it, so the Engine does not remove it before the last of them is gone.
// Nothing of this is in memory: it holds whatever is killed or restarted.

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/roles/fault"
)

// maxSlots is more jobs of one project than an Engine runs at once.
const maxSlots = 4096

// takeSlot gives the job the lowest number that is free. The files that a
// script makes belong to the image's user, and one of another image could not
// change or remove them: so each user has volumes of its own.
func (e *Engine) takeSlot(ctx context.Context, a *api, job image) error {
	var err error
	if e.owner, err = e.ownerPart(ctx, a, job); err != nil {
		return err
	}
	if e.plan.BuildsVolume == "" {
		return e.ensureVolume(ctx, a, e.agentVolume(), e.plan.Labels(roleAgent))
	}
	for n := range maxSlots {
		e.slot = "-" + strconv.Itoa(n)
		mine, err := e.lock(ctx, a, e.agentVolume())
		if err != nil || mine {
			return err
		}
	}
	return fault.New(fault.Passing, "find a builds volume", e.plan.BuildsVolume, fmt.Errorf("all %d are in use", maxSlots),
		"Run `envrole sweep`; what it leaves belongs to jobs that may still run: docker volume ls --filter label="+docker.LabelJob)
}

// lock makes the volume that stands for a number. It is another job's, or
// nobody's, if it bears other labels than were asked for.
func (e *Engine) lock(ctx context.Context, a *api, name string) (mine bool, err error) {
	err = a.make(ctx, "create volume "+name, func(ctx context.Context) error {
		made, err := a.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Labels: e.plan.Labels(roleAgent)})
		mine = err == nil && ours(made.Volume.Labels, e.plan.Labels(roleAgent))
		return err
	})
	return mine, err
}

func ours(have, want map[string]string) bool {
	for _, k := range []string{docker.LabelHost, docker.LabelJob} {
		if have[k] != want[k] {
			return false
		}
	}
	return true
}

// stillOurs makes sure that a container which was just made mounts this job's
// own volumes. A sweep that took the job for dead has removed them by now, and
// another job may have the number; once the container is there, no more.
func (a *api) stillOurs(ctx context.Context, options client.ContainerCreateOptions) error {
	for _, m := range options.HostConfig.Mounts {
		if m.VolumeOptions == nil || m.VolumeOptions.Labels[docker.LabelJob] == "" {
			continue
		}
		err := a.call(ctx, "inspect volume "+m.Source, func(ctx context.Context) error {
			got, err := a.VolumeInspect(ctx, m.Source, client.VolumeInspectOptions{})
			if err == nil && !ours(got.Volume.Labels, m.VolumeOptions.Labels) {
				err = fault.New(fault.Passing, "use volume", m.Source, errors.New("it has become another job's: this one was taken for dead"), "")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// agentVolume is the job's own, and holds its number.
func (e *Engine) agentVolume() string {
	if e.plan.BuildsVolume == "" {
		return e.volume(roleAgent)
	}
	return e.buildsVolume() + "-" + roleAgent
}

func (e *Engine) buildsVolume() string { return e.plan.BuildsVolume + e.owner + e.slot }

// cacheVolume is shared by all jobs of the project on refs of this kind. What
// lies there is the helper's, if there is one, whatever the image.
func (e *Engine) cacheVolume() string {
	if e.plan.Helper != nil {
		return e.plan.CacheVolume
	}
	return e.plan.CacheVolume + e.owner
}

// named describes the mount of a volume. The labels are for one that the Engine
// has to make, because somebody removed it meanwhile: then it can be found.
func named(source, target string, labels map[string]string) mount.Mount {
	return mount.Mount{Type: mount.TypeVolume, Source: source, Target: target, VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: labels}}
}
