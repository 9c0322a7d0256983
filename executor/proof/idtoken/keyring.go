package idtoken

// This file decides when GitLab is asked for its keys. It promises that with
// fresh keys nobody is asked, that forged key ids cannot make us ask more than
// once in askEvery, and that keys are never used longer than MaxAge + Stale.

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"envrole/executor/job"
	"envrole/roles/fault"
)

// askEvery is the shortest time between two questions for keys, of all jobs on
// a host together. The runner tries a passing failure again after 3 seconds,
// three times in all; GitLab changes its keys about never.
const askEvery = 15 * time.Second

type keyring struct{ opts Options }

// foundKey is a public key and how old the list is that it comes from.
type foundKey struct {
	public   crypto.PublicKey
	age      time.Duration
	stale    bool
	warnings []string
}

// key gives the key of this id. An id that GitLab does not publish is Refused;
// it is Passing where that could not be found out.
func (k *keyring) key(ctx context.Context, id string) (foundKey, error) {
	c := k.load()
	public, ok := find(c.Keys, id)
	if ok && (k.opts.Offline || k.age(c) < k.opts.MaxAge) {
		return foundKey{public: public, age: k.age(c)}, nil
	}
	if k.opts.Offline {
		return foundKey{}, passing(fmt.Errorf("no signing key %s in this host's cache", job.Quote(id)))
	}
	ctx, cancel := context.WithTimeout(ctx, k.opts.Timeout)
	defer cancel()
	r := k.renew(ctx, c)
	age := k.age(r.cache)
	switch public, ok := find(r.cache.Keys, id); {
	case ok && age < k.opts.MaxAge:
		return foundKey{public: public, age: age, warnings: r.notes}, nil
	case ok && age < k.opts.MaxAge+k.opts.Stale:
		r.notes = append(r.notes, fmt.Sprintf("GitLab gave no signing keys (%s); those of %s ago are used", r.cache.Failure, age.Round(time.Second)))
		return foundKey{public: public, age: age, stale: true, warnings: r.notes}, nil
	case r.failed != nil:
		return foundKey{}, r.failed
	case r.asked:
		return foundKey{}, refuse(helpForged, "GitLab has no signing key %s", job.Quote(id))
	case r.cache.Failure != "":
		return foundKey{}, passing(fmt.Errorf("GitLab gave no signing keys %s ago: %s", k.since(r.cache.Asked).Round(time.Second), r.cache.Failure))
	}
	return foundKey{}, passing(fmt.Errorf("no signing key %s among those of %s ago; GitLab is asked every %s at most",
		job.Quote(id), k.since(r.cache.Asked).Round(time.Second), askEvery))
}

// renewal is what became of an attempt to get newer keys.
type renewal struct {
	cache  cache // the best there is
	asked  bool  // GitLab was asked since the attempt began, by this process or another
	failed error // why it gave nothing, where this process asked
	notes  []string
}

// renew asks GitLab, unless somebody did so a moment ago.
func (k *keyring) renew(ctx context.Context, c cache) renewal {
	r := renewal{cache: c}
	if k.askedLately(c) {
		return r
	}
	unlock, err := k.lock(ctx.Done())
	if err == nil {
		defer unlock()
		if now := k.load(); now.Asked > c.Asked {
			return renewal{cache: now, asked: now.Failure == ""} // another process asked while we waited
		}
	} else {
		r.notes = append(r.notes, fmt.Sprintf("signing keys: no lock in the state directory: %v", err))
	}
	keys, failed := k.fetch(ctx)
	r.asked, r.failed = true, failed
	r.cache.Asked = k.opts.Now().Unix()
	if failed != nil {
		r.cache.Failure = failed.Error()
	} else {
		r.cache.Keys, r.cache.Fetched, r.cache.Failure = keys, r.cache.Asked, ""
	}
	if err := k.save(r.cache); err != nil {
		r.notes = append(r.notes, fmt.Sprintf("signing keys: not kept for the next job: %v", err))
	}
	return r
}

func (k *keyring) askedLately(c cache) bool {
	return c.Asked > 0 && k.since(c.Asked) < askEvery
}

func (k *keyring) since(unix int64) time.Duration { return k.opts.Now().Sub(time.Unix(unix, 0)) }

// age is how old the keys are. Without keys it is longer than any limit.
func (k *keyring) age(c cache) time.Duration {
	if c.Fetched == 0 {
		return 1<<63 - 1
	}
	return max(0, k.since(c.Fetched))
}

func passing(err error) error {
	return fault.New(fault.Passing, opVerify, "", err,
		"GitLab's signing keys could not be had; the runner may try again. If it stays so, check that this host reaches [gitlab] url.")
}
