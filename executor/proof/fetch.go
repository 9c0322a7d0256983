package proof

// This file asks one endpoint. It promises at most three tries within the
// caller's deadline, Retry-After honoured, and a body that is JSON of at most
// maxAnswer bytes, or a classified error without the token.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"envrole/executor/job"
	"envrole/roles/fault"
	"envrole/roles/seal"
)

const (
	// maxAnswer bounds an answer's body, in bytes. allowed_agents lists a
	// project's agents, at a few hundred bytes each.
	maxAnswer = 1 << 20
	// maxTries is how often one endpoint is asked.
	maxTries = 3
	// firstPause is what the pauses between tries double from.
	firstPause = 250 * time.Millisecond
)

type query = url.Values

// get asks endpoint e at path below the API and gives the body of its answer.
// It adds one to calls for each request.
func (c *Client) get(ctx context.Context, e endpoint, path string, q query, token seal.Secret, calls *int) ([]byte, error) {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	return c.fetch(ctx, e, target, token, calls)
}

// fetch asks for target. An empty token is not sent.
func (c *Client) fetch(ctx context.Context, e endpoint, target string, token seal.Secret, calls *int) ([]byte, error) {
	for try := 1; ; try++ {
		*calls++
		body, again, err := c.try(ctx, e, target, token, try == maxTries)
		if again == nil || try == maxTries {
			return body, err
		}
		if err := c.pause(ctx, try, *again, err); err != nil {
			return nil, err
		}
	}
}

// retry says how long the server wants to be left alone; 0 if it does not say.
type retry struct{ after time.Duration }

// try sends one request. With an error, again tells whether another try makes
// sense.
func (c *Client) try(ctx context.Context, e endpoint, target string, token seal.Secret, last bool) (body []byte, again *retry, err error) {
	// A try that is not the last gets half of the time that is left, so that a
	// connection that hangs does not use up all of it.
	if deadline, ok := ctx.Deadline(); ok && !last {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return nil, nil, fault.New(fault.Internal, opProve, "", errors.New("cannot make the request"), "")
	}
	if !token.Empty() {
		req.Header.Set("JOB-TOKEN", token.Reveal())
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, retryable(err), unreachable(e, err, token)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		err = e.refusal(resp.StatusCode, redirectedTo(resp, token))
		if fault.ClassOf(err) != fault.Passing {
			return nil, nil, err
		}
		return nil, &retry{after: c.retryAfter(resp.Header.Get("Retry-After"))}, err
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, &retry{}, unreachable(e, err, token)
	}
	if err := plausible(resp.Header.Get("Content-Type"), body, token); err != nil {
		return nil, nil, unknownShape(e, err)
	}
	return body, nil, nil
}

// plausible refuses what cannot be an answer of GitLab's API, before anything
// looks into it.
func plausible(contentType string, body []byte, token seal.Secret) error {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case len(body) > maxAnswer:
		return fmt.Errorf("more than %d bytes", maxAnswer)
	case !token.Empty() && (strings.Contains(contentType, token.Reveal()) || bytes.Contains(body, []byte(token.Reveal()))):
		// Nothing of such an answer may reach a message.
		return errors.New("it repeats the job's token")
	case err == nil && media == "application/jwk-set+json" && token.Empty():
		return nil
	case err != nil || media != "application/json":
		return fmt.Errorf("content type %s, not application/json", job.Quote(contentType))
	}
	return nil
}

// pause waits before the next try. Where the wait does not fit into the time
// that is left it gives the failure of the last try, with that said.
func (c *Client) pause(ctx context.Context, try int, again retry, failed error) error {
	wait := max(again.after, time.Duration(float64(firstPause<<(try-1))*(0.5+c.jitter())))
	if deadline, ok := ctx.Deadline(); ok && wait >= time.Until(deadline) {
		return passing(fmt.Errorf("%w; the next try would be after the time limit of %s", failed, c.timeout), fault.HelpOf(failed))
	}
	if err := c.sleep(ctx, wait); err != nil {
		return passing(fmt.Errorf("%w; stopped waiting: %w", failed, err), fault.HelpOf(failed))
	}
	return nil
}

// longestAsked is what a longer Retry-After is taken for; no job waits a day.
const longestAsked = 24 * time.Hour

// retryAfter reads both forms of the header, seconds and date; what is neither
// is 0.
func (c *Client) retryAfter(header string) time.Duration {
	if header != "" && strings.Trim(header, "0123456789") == "" {
		seconds, err := strconv.ParseInt(header, 10, 64)
		if err != nil || seconds > int64(longestAsked/time.Second) {
			return longestAsked
		}
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(0, at.Sub(c.now())), longestAsked)
	}
	return 0
}

// redirectedTo gives scheme and host of a redirect, "" if there is none that
// may be shown.
func redirectedTo(resp *http.Response, token seal.Secret) string {
	u, err := resp.Location()
	if err != nil || !token.Empty() && strings.Contains(u.Host, token.Reveal()) {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// headerSafe says whether a token can go into a header: visible ASCII.
func headerSafe(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
