package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"envrole/executor"
	"envrole/roles/fault"
)

// resolveUsers finds the accounts of executor.shell.users.
func resolveUsers(names []string, euid int) ([]account, error) {
	return resolvePool(names, euid, subIDFiles())
}

// resolvePool finds accounts. No two of them may be the same user to the
// kernel, none the runner's own, and in none may a job leave anything.
func resolvePool(names []string, euid int, subIDs []string) ([]account, error) {
	if euid != 0 {
		return nil, userFault(strings.Join(names, ", "), fmt.Errorf("the runner has uid %d and cannot become another", euid),
			"Run gitlab-runner as root to give each job a user of its own, or remove executor.shell.users.")
	}
	var pool []account
	of := map[int]string{}
	for _, name := range names {
		who, err := resolveUser(name, euid)
		if err != nil {
			return nil, err
		}
		if other := of[who.uid]; other != "" {
			return nil, userFault(name, fmt.Errorf("has uid %d, as %q has: two jobs would share it", who.uid, other),
				"Give each user of executor.shell.users a uid of its own.")
		}
		of[who.uid] = name
		who.name = name // the record's name; an account may have several
		if err := who.checkPoolAccount(subIDs); err != nil {
			return nil, err
		}
		pool = append(pool, who)
	}
	return pool, nil
}

// takeUser gives the job the first user of the pool that no other job has, and
// writes that down. What a dead job left with a user is removed first.
func takeUser(ctx context.Context, job executor.Job, pool []account, dir string) (account, error) {
	b, err := openBook(job.StateDir)
	if err != nil {
		return account{}, err
	}
	// A prepare that is called again for the same job has its user already.
	mine, _ := b.find(job.LeaseID) // a record of another job may be broken: try says of which user
	var holders []string
	for _, who := range pool {
		if mine != nil && mine.User == who.name && mine.UID == who.uid && mine.Unclean == "" {
			return who, nil
		}
	}
	for _, who := range pool {
		holder, err := b.try(ctx, job, who, dir)
		if err != nil {
			return account{}, err
		}
		if holder == "" {
			return who, nil
		}
		holders = append(holders, who.name+" "+holder)
	}
	return account{}, fault.New(fault.Passing, "find a user for", "the job",
		fmt.Errorf("none of the %d in executor.shell.users is free: %s", len(pool), strings.Join(holders, ", ")),
		"The administrator adds users to executor.shell.users, or lets fewer jobs run at once (limit and concurrent in the runner's config.toml). `envrole sweep` frees those of dead jobs.")
}

// try takes one user, or says what keeps it.
func (b book) try(ctx context.Context, job executor.Job, who account, dir string) (holder string, err error) {
	if _, holder = b.taken(job, who.name); holder != "" {
		return holder, nil
	}
	lock, err := b.lock(ctx, who.name, unix.LOCK_EX, 0)
	if errors.Is(err, errTaken) {
		return "is just being taken, freed or used", nil
	}
	if err != nil {
		return "", err
	}
	defer lock.Close()
	dead, holder := b.taken(job, who.name)
	if holder != "" {
		return holder, nil
	}
	if dead != nil {
		if err := b.clean(ctx, *dead); err != nil {
			return "cannot be cleaned: " + err.Error(), nil // the next user may do
		}
	}
	return b.give(ctx, job, who, dir)
}

// give writes down that the job has the user, which no job of this state
// directory has, unless one of another has it. The caller holds the user's lock.
func (b book) give(ctx context.Context, job executor.Job, who account, dir string) (holder string, err error) {
	c, err := claimUID(ctx, who.uid, 0)
	if errors.Is(err, errTaken) {
		return "is just being taken or freed by another state directory", nil
	}
	if err != nil {
		return "", err
	}
	defer c.release()
	if holder, err = c.elsewhere(b.path(who.name, recordEnding)); holder != "" || err != nil {
		return holder, err
	}
	if holder, err = who.strangers(); holder != "" || err != nil {
		return holder, err
	}
	if err := c.write(b.path(who.name, recordEnding)); err != nil {
		return "", err
	}
	return "", b.write(newTenancy(job, who, dir))
}

// strangers says which processes a user has that no job has.
func (who account) strangers() (holder string, err error) {
	found, err := processesOf(who.uid)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return fmt.Sprintf("has processes of no job that is written down (%d, pid %d among them): something else runs as it", len(found), found[0].pid), nil
}

// taken says what keeps a user, if anything does, and gives the tenancy of the
// dead job that it had before.
func (b book) taken(job executor.Job, user string) (dead *tenancy, holder string) {
	t, err := b.read(user)
	switch {
	case err != nil:
		return nil, "is not to be told: " + err.Error()
	case t == nil:
		return nil, ""
	case t.Unclean != "":
		return nil, fmt.Sprintf("is not clean after job %d (`envrole sweep` tries again: %s)", t.JobID, t.Unclean)
	}
	if _, over := t.over(time.Now(), job.Alive); !over {
		return nil, "has job " + strconv.FormatInt(t.JobID, 10)
	}
	return t, ""
}

// clean removes what the tenancy's job left, and frees the user; if that fails,
// nobody gets it until a sweep succeeds. The caller holds the user's lock for itself.
func (b book) clean(ctx context.Context, t tenancy) error {
	c, err := b.claimOf(ctx, t)
	if err != nil {
		return err
	}
	defer c.release()
	err = scour(ctx, t)
	if err == nil {
		return b.free(t.User)
	}
	if ctx.Err() != nil {
		return err // not tried to the end: whoever comes next does
	}
	t.Unclean = strings.Join(slices.Collect(strings.Lines(err.Error())), " ")
	if len(t.Unclean) > maxUnclean {
		t.Unclean = t.Unclean[:maxUnclean] + "..."
	}
	t.Unclean = strings.ReplaceAll(t.Unclean, "\n", " ")
	return errors.Join(err, b.write(t))
}

// maxUnclean bounds what is kept of a failure.
const maxUnclean = 400

// hold keeps the job's user from being given away while a script runs, and
// makes certain that it is the job's.
func (p Plan) hold(ctx context.Context) (release func(), err error) {
	if !p.Leased {
		return func() {}, nil
	}
	b, err := openBook(p.StateDir)
	if err != nil {
		return nil, err
	}
	lock, err := b.lock(ctx, p.User, unix.LOCK_SH, shortWait)
	if err != nil {
		return nil, fault.New(fault.Internal, "use job user", p.User, err, "")
	}
	t, err := b.read(p.User)
	if err == nil && (t == nil || t.Lease != p.LeaseID || t.UID != p.UID || t.Unclean != "") {
		err = fault.New(fault.Internal, "use job user", p.User, errors.New("it is not this job's any more"),
			"The job counted as dead (its deadline, its runner, or `envrole sweep`), and its user was freed; retry the job.")
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// release ends everything of the job's user, removes what the job left and
// frees the user. A run stage of the job may still be dying beside it.
func (p Plan) release(ctx context.Context) error {
	b, err := openBook(p.StateDir)
	if err != nil {
		return err
	}
	mine := func(how int, wait time.Duration) (*os.File, *tenancy, error) {
		lock, err := b.lock(ctx, p.User, how, wait)
		if err != nil {
			return nil, nil, err
		}
		t, err := b.read(p.User)
		if err != nil || t == nil || t.Lease != p.LeaseID {
			lock.Close()
			return nil, nil, err
		}
		return lock, t, nil
	}
	// While this is held nobody else gets the user; the run stage, which holds
	// it too, ends with its processes.
	lock, t, err := mine(unix.LOCK_SH, longWait)
	if err != nil || t == nil {
		return err
	}
	killErr := b.killAll(ctx, *t)
	lock.Close()
	lock, t, err = mine(unix.LOCK_EX, longWait)
	if err == nil && t == nil {
		return nil
	}
	if err == nil {
		err = b.clean(ctx, *t)
		lock.Close()
	}
	if err != nil {
		err = errors.Join(err, killErr)
		return fault.New(fault.Internal, "clean up after the job of user", p.User, err,
			"The user is given to no other job. Remove what the message names; `envrole sweep` tries again.")
	}
	return nil
}
