// Package refresh is the helper that renews a job's session: the same role and
// session name once more, asked for with exactly what prepare decided and
// sealed. It promises that the lease knows the later end of the session before
// STS is asked, that nothing is renewed for a lease which is closing, past its
// deadline or without its runner, and that credentials which come too late are
// thrown away.
package refresh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"envrole/internal/audit"
	"envrole/internal/crash"
	"envrole/internal/handover"
	"envrole/internal/renewal"
	"envrole/internal/stage"
	"envrole/internal/stage/setup"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/session"
	"envrole/roles/settings"
)

// Main is the helper's whole program where args, those of the process, ask for
// it; else it does nothing and says so.
func Main(args []string, in io.Reader, out io.Writer) (mine bool) {
	if len(args) != 2 || args[1] != renewal.Argument {
		return false
	}
	stage.CloseMemory()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// A write that fails has no reader left.
	_ = json.NewEncoder(out).Encode(renewal.Of(renew(ctx, in)))
	return true
}

// op names the work in errors.
const op = "renew session"

// refresh is one renewal: what it has read so far.
type refresh struct {
	conf   *settings.Settings
	handed stage.Handed
	ledger *lease.Ledger
	log    *audit.Log
	state  handover.State
	// failures is how many renewals failed in a row before this one, and need
	// for how long a script may use the session; see renewal.Order.
	failures int
	need     time.Duration
}

func renew(ctx context.Context, in io.Reader) (err error) {
	r, err := begin(in)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.log.Close()) }()
	if !r.state.Session.DueFor(r.need, r.now()) {
		return nil // another helper was faster
	}
	err = r.renew(ctx)
	if err != nil && ctx.Err() == nil { // else nobody waits for it: the script has ended
		return r.failed(err)
	}
	return err
}

// begin reads everything that needs no network.
func begin(in io.Reader) (*refresh, error) {
	handed, err := stage.ReadHandedButKey()
	if err != nil {
		return nil, err
	}
	order, err := renewal.Take(in)
	if err != nil {
		return nil, fault.New(fault.Internal, op, "", err, "")
	}
	handed.Key = order.Key
	conf, err := setup.Settings(stage.Call{ConfigFile: os.Getenv("ENVROLE_CONFIG")})
	if err != nil {
		// The administrator may be just writing it: not the job's end.
		return nil, fault.New(fault.Passing, op, "", err, "")
	}
	if conf.State.Dir != handed.StateDir {
		return nil, fault.New(fault.Passing, op, "", fmt.Errorf("[state] dir is no longer %s, where this job began", handed.StateDir), "")
	}
	r := &refresh{conf: conf, handed: handed, failures: order.Failures, need: order.Need}
	if r.ledger, err = lease.Open(conf.State.Dir); err != nil {
		return nil, err
	}
	if r.state, err = stage.OpenState(r.ledger, handed); err != nil {
		return nil, err
	}
	if r.state.Session == nil || r.state.Renewal == nil {
		return nil, fault.New(fault.Refused, op, "", errors.New("there is nothing to renew: the job was lent no session that can be"), "")
	}
	r.log, err = audit.Open(conf.State.Dir)
	return r, err
}

func (r *refresh) now() handover.Instant { return handover.Now(r.ledger.Host().Uptime) }

// renew asks STS, between two looks at the lease.
func (r *refresh) renew(ctx context.Context) error {
	if !r.conf.Session.Enabled {
		return fault.New(fault.Refused, op, "", errors.New("lending is switched off by the administrator ([session] enabled = false)"),
			"What the job was lent works until it expires.")
	}
	ctx, cancel := context.WithTimeout(ctx, r.conf.AWS.Timeout)
	defer cancel()
	grant := r.state.Renewal.Grant
	base, err := session.LoadBase(ctx, grant.Region)
	if err != nil {
		return err
	}
	req := session.Request{Grant: grant, Name: r.state.Session.Name, Tags: tagsOf(r.state.Renewal.Tags)}
	_, err = r.ledger.Update(ctx, r.handed.LeaseID, func(le *lease.Lease) error {
		now := time.Now()
		if err := r.allowed(*le, now); err != nil {
			return err
		}
		if until := base.LatestExpiry(req, now); until.After(le.ExpiresAt) {
			le.ExpiresAt = until
		}
		return nil
	})
	if err != nil {
		return err
	}
	crash.Point("refresh-raised")
	asked, start := r.now(), time.Now()
	lent, err := base.Lend(ctx, req)
	took := time.Since(start)
	crash.Point("refresh-answered")
	if err != nil {
		return err
	}
	return r.keep(ctx, lent, asked, took)
}

// keep stores the new session if the job may still have it. The lease's lock is
// held from the look at it until the session is sealed: a cleanup that closes
// the lease comes before, and then nothing is stored, or after, and removes it.
// If another helper sealed one meanwhile, that one stays: a job may have it. The
// lease learns the session's end also where the job may not have it.
func (r *refresh) keep(ctx context.Context, lent session.Session, asked handover.Instant, took time.Duration) error {
	var refused error
	_, err := r.ledger.Update(ctx, r.handed.LeaseID, func(le *lease.Lease) error {
		if le.State != lease.Denied && lent.Expiration.After(le.ExpiresAt) {
			le.ExpiresAt = lent.Expiration
		}
		if refused = r.allowed(*le, time.Now()); refused != nil {
			return nil //nolint:nilerr // the lease's later end is to be kept; see below
		}
		sealed, err := stage.OpenState(r.ledger, r.handed)
		if err != nil {
			return err
		}
		if sealed.Session == nil || sealed.Session.Generation != r.state.Session.Generation {
			return nil
		}
		le.AccessKeyID = lent.AccessKeyID
		next := r.state
		s := r.state.Session.Renewed(Fresh(lent, asked))
		next.Session = &s
		if err := r.auditRefreshed(*le, lent, s.Generation, took); err != nil {
			return err
		}
		blob, err := handover.Seal(r.handed.Key, r.handed.LeaseID, next)
		if err != nil {
			return err
		}
		return r.ledger.WriteSealed(r.handed.LeaseID, blob, next.Deadline)
	})
	crash.Point("refresh-sealed")
	return errors.Join(refused, err)
}

// allowed says whether the lease's session may live on.
func (r *refresh) allowed(le lease.Lease, now time.Time) error {
	why := ""
	switch {
	case le.State != lease.Lent:
		why = fmt.Sprintf("the lease is %s: the session is being taken back", le.State)
	case now.After(le.Deadline) || now.After(r.state.Deadline):
		why = "the job's deadline has passed"
	case r.ledger.OwnerGone(le):
		why = "the runner process of the job is gone"
	case le.SessionName != r.state.Session.Name || le.RoleARN != r.state.Renewal.Grant.RoleARN:
		why = "the lease is of another session than the sealed one"
	default:
		return nil
	}
	return fault.New(fault.Refused, op, r.state.Session.Name, errors.New(why), "")
}

// Fresh is what STS lent, as the stages keep it: asked is when STS was asked.
// Its end is counted from there by AWS's own clock.
func Fresh(lent session.Session, asked handover.Instant) handover.Session {
	// The time of an answer is told in whole seconds, cut off.
	server := lent.ServerTime.Add(time.Second)
	if lent.ServerTime.IsZero() {
		server = asked.Wall
	}
	s := handover.Session{
		AccessKeyID: lent.AccessKeyID, SecretAccessKey: lent.SecretAccessKey.Reveal(), SessionToken: lent.SessionToken.Reveal(),
		Expiration: lent.Expiration, Lifetime: lent.Expiration.Sub(server), Generation: 1,
	}
	if asked.Uptime > 0 {
		s.GoodUntil = asked.Uptime + s.Lifetime
	}
	return s
}

// Tags are a request's own tags, to be sealed.
func Tags(tags []session.Tag) []handover.Tag {
	out := make([]handover.Tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, handover.Tag{Key: t.Key, Value: t.Value, Exact: t.Exact})
	}
	return out
}

func tagsOf(tags []handover.Tag) []session.Tag {
	out := make([]session.Tag, 0, len(tags))
	for _, t := range tags {
		out = append(out, session.Tag{Key: t.Key, Value: t.Value, Exact: t.Exact})
	}
	return out
}
