package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"envrole/executor"
	"envrole/roles/fault"
)

var (
	_ executor.Executor   = (*Executor)(nil)
	_ executor.LocalUser  = (*Executor)(nil)
	_ executor.Guaranteed = (*Executor)(nil)
)

// Executor runs the scripts of one job with a shell on this host.
type Executor struct {
	plan Plan
	// group opens the job's cgroup; it fails on a host that has none to give.
	group func(marker string) (*cgroup, error)
}

// New makes an executor of a plan. It does no I/O.
func New(p Plan) *Executor { return &Executor{plan: p, group: openCgroup} }

// Prepare ends what earlier jobs of the same user have left running, makes the
// job's directories with its owner and mode 0700, and tries the job's
// namespaces if it is to have some.
func (e *Executor) Prepare(ctx context.Context, log io.Writer) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := e.endEarlier(ctx); err != nil {
		return fault.New(fault.Internal, "end what earlier jobs left of user", e.plan.User, err, "")
	}
	if names := e.plan.groupNames(strongGroups()); e.plan.SwitchUser && len(names) > 0 {
		fmt.Fprintf(log, "envrole: warning: user %s of this job is in the groups %s: see that they give it nothing of the host's\n", e.plan.User, strings.Join(names, ", "))
	}
	if err := e.plan.makeJobDir(); err != nil {
		return err
	}
	for _, dir := range []string{e.plan.BuildsDir, e.plan.CacheDir} {
		if err := e.plan.owner().ensureDir(dir); err != nil {
			return err
		}
	}
	if err := e.ensureTmp(); err != nil {
		return err
	}
	return e.tryIsolation(ctx)
}

func (e *Executor) endEarlier(ctx context.Context) error {
	switch {
	case !e.plan.SwitchUser:
		return nil
	case e.plan.Leased:
		release, err := e.plan.hold(ctx)
		if err != nil {
			return err
		}
		defer release()
		return endAllOf(ctx, e.plan.UID)
	}
	return e.plan.endStrays(nil, e.plan.orphans)
}

// Cleanup ends what is left of the job's processes and removes its TMPDIR. The
// builds and cache directories stay for the project's next job, but with a user
// that the job had for itself: then everything of it is removed, and the user
// is free again.
func (e *Executor) Cleanup(ctx context.Context, _, _ io.Writer) error {
	p := e.plan
	group, err := existingCgroup(p.marker())
	if err != nil {
		group = nil // none was made, or none can be: the process table tells
	}
	defer group.remove()
	if p.Leased {
		group.kill()
		return p.release(ctx)
	}
	if err := p.endStrays(group, func(table map[int]process, spare map[int]bool) map[int]bool {
		roots := p.markedProcesses(table, spare)
		for pid := range p.orphans(table, spare) {
			roots[pid] = true
		}
		return roots
	}); err != nil {
		return fault.New(fault.Internal, "end processes of", "job", err, "")
	}
	if err := removeJobDir(ctx, p.JobDir); err != nil {
		return fmt.Errorf("remove the job's directory: %w", err)
	}
	if filepath.Base(p.TmpDir) != "envrole-"+p.marker() {
		return nil
	}
	if err := os.RemoveAll(p.TmpDir); err != nil { // follows no symbolic link
		return fmt.Errorf("remove the job's TMPDIR: %w", err)
	}
	return nil
}

// Guarantee says, for the audit log, what ends processes that leave the
// script's process group even if the run stage itself is killed: "pid namespace"
// (the kernel, at once), "cgroup" or "own uid" (cleanup). Otherwise it is "subreaper": ended while the run stage lives, and
// as far as they can be found after that.
func (e *Executor) Guarantee() string {
	if e.plan.isolated() {
		return "pid namespace"
	}
	if !e.plan.SwitchUser {
		return "subreaper"
	}
	group, err := e.group(e.plan.marker())
	if err != nil {
		return "own uid"
	}
	group.remove()
	return "cgroup"
}

func (e *Executor) ensureTmp() error {
	if e.plan.TmpDir == "" {
		return nil
	}
	return e.plan.owner().ensureDir(e.plan.TmpDir)
}

func (p Plan) owner() owner { return owner{uid: p.UID, gid: p.GID, change: p.SwitchUser} }

func (p Plan) mark() string { return jobVariable + "=" + p.marker() }

func (p Plan) grace() time.Duration {
	if p.Grace <= 0 {
		return defaultGrace
	}
	return p.Grace
}

func (p Plan) credential() *syscall.Credential {
	c := &syscall.Credential{Uid: kernelID(p.UID), Gid: kernelID(p.GID)}
	for _, g := range p.Groups {
		c.Groups = append(c.Groups, kernelID(g))
	}
	return c
}

// kernelID turns an id that NewPlan has read as 31 bits into the kernel's type;
// any other becomes one that setuid and setgid refuse.
func kernelID(id int) uint32 {
	if id < 0 || id > math.MaxInt32 {
		return math.MaxUint32
	}
	return uint32(id)
}

// check refuses a plan that cannot be what NewPlan made.
func (p Plan) check() error {
	if (p.SwitchUser || p.Leased || p.isolated()) && (!p.SwitchUser || p.UID <= 0 || p.GID < 0) || !filepath.IsAbs(p.Shell) || p.LeaseID == "" {
		return errors.New("the stored plan of the shell base is not complete")
	}
	return nil
}
