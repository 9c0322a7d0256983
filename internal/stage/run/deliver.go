package run

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"envrole/executor"
	"envrole/executor/mask"
	"envrole/internal/handover"
	"envrole/internal/renewal"
	"envrole/internal/stage"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

// afterScript is the sub-stage that runs after the author's others, whether or
// not they failed.
const afterScript = "after_script"

// noFiles leads SDKs away from the files in the home of the job's user: they may
// be another job's.
func noFiles() []string {
	return []string{"AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull}
}

// delivery is one sub-stage's way to the session.
type delivery struct {
	call   stage.Call
	base   executor.Executor
	handed stage.Handed
	ledger *lease.Ledger
	state  handover.State
	filter *mask.Filter
	log    *jobLog
	// masking is held from a look at tokens until the filter knows them: a renewal
	// may end while the endpoint is opened.
	masking sync.Mutex
	tokens  []string // that the log must not show either
	// need is for how long the script may use a session that is not renewed
	// while it runs; 0 where it is.
	need time.Duration
	// ended is called when the script itself has ended: nothing is renewed any
	// more, neither ahead of need nor for what the script left behind and asks.
	ended func()
	// shared are directories that scripts must be able to reach.
	shared []string
}

// begin gives what the sub-stage gets besides the base's own environment, and a
// function that ends the serving of it.
func (d *delivery) begin(ctx context.Context, subStage string) (env []string, end func(), err error) {
	session := d.state.Session
	if session == nil || !executor.GetsCredentials(subStage, session.SubStages) {
		return nil, func() {}, nil
	}
	le, err := d.ledger.Get(d.handed.LeaseID)
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "read lease", d.handed.LeaseID, err, "")
	}
	if le.State != lease.Lent {
		return nil, nil, stage.TakenBack(le)
	}
	// What the script is served ends with it, and not with ctx: a cancelled
	// script has minutes to tidy up.
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := d.source(serving, *session)
	quiet := func() {
		cancel()
		s.close()
	}
	if err := d.ready(ctx, s, subStage); err != nil {
		if ctx.Err() != nil || subStage != afterScript {
			quiet()
			return nil, nil, err
		}
		// What cleans up after a job must run, with or without AWS.
		s.say("after_script runs without a session: %v", err)
		s.said = s.said.of(err)
		if !d.renewsWithin() {
			quiet()
			return append(env, noFiles()...), func() {}, nil
		}
	}
	d.ended = func() { s.bar(); cancel() }
	given, stop, err := d.serve(ctx, s)
	if err != nil {
		quiet()
		return nil, nil, err
	}
	return given, sync.OnceFunc(func() { d.ended(); stop(); quiet() }), nil
}

func (d *delivery) source(ctx context.Context, session handover.Session) *source {
	return &source{
		ctx: ctx, watch: d.ledger.Watch(d.handed.LeaseID), session: session,
		learn: d.learn, say: d.log.say, wake: make(chan struct{}, 1),
		helper: func(ctx context.Context, failures int) error {
			return runHelper(ctx, d.call.ConfigFile, d.base, renewal.Order{Key: d.handed.Key, Failures: failures, Need: d.need})
		},
		reopen: func() (handover.State, error) { return stage.OpenState(d.ledger, d.handed) },
		now:    func() handover.Instant { return handover.Now(d.ledger.Host().Uptime) },
	}
}

// learn makes the log filter know the secrets of a renewed session and of the
// last ones before it, and forget older ones.
func (d *delivery) learn(secrets ...string) error {
	d.masking.Lock()
	defer d.masking.Unlock()
	return d.filter.Keep(append(slices.Clip(secrets), d.tokens...)...)
}

// hide makes the log filter know a token, for as long as the script runs.
func (d *delivery) hide(token string) error {
	d.masking.Lock()
	defer d.masking.Unlock()
	d.tokens = append(d.tokens, token)
	return d.filter.Add(token)
}
