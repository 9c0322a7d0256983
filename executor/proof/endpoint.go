package proof

// This file says what a failing answer of each endpoint means. It promises that
// what may be gone in a minute is a passing fault, and that every other answer
// comes with what to do about it.

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"envrole/executor/job"
	"envrole/roles/fault"
	"envrole/roles/seal"
)

// endpoint is one of GitLab's two questions.
type endpoint struct {
	shown   string // for messages
	expects string // the shape of its answer, in words
	// what 401, 403 and 404 mean here
	unauthorized, forbidden, missing string
}

var (
	jobEndpoint = endpoint{
		shown: "GET /api/v4/job/allowed_agents",
		expects: `a JSON object with "job", "pipeline", "project" and "user", each with a numeric "id", ` +
			`and "environment" with "slug" for a job that has one`,
		unauthorized: "GitLab does not take the job's token. The job may have ended or been cancelled meanwhile: then " +
			"there is nothing to do. Otherwise check that [gitlab] url is the GitLab that this runner is registered with.",
		forbidden: "GitLab takes the token but denies the question. Check that the user who started the job is not " +
			"blocked, and that no IP allowlist of a group keeps this runner out.",
		missing: "Check [gitlab] url, path prefix included. The endpoint exists in every GitLab that EnvRole serves " +
			"(16.2 to 19), and answers 404 to a token that is no job token.",
	}
	environmentsEndpoint = endpoint{
		shown:   "GET /api/v4/projects/:id/environments?name=",
		expects: `a JSON array of at most one object with "id", "name" and "slug"`,
		unauthorized: "GitLab before 16.2 does not let a job's token read environments: update it. With a newer one the " +
			"job may have ended or been cancelled meanwhile.",
		forbidden: "The user who started the job must be allowed to read the project's environments (Reporter or more, " +
			"and Settings > General > Visibility > Environments switched on). Look also at " +
			"Settings > CI/CD > Job token permissions.",
		missing: "The user who started the job cannot see the project or its environments: check membership, Settings > " +
			"General > Visibility > Environments, and Settings > CI/CD > Job token permissions. GitLab before 16.2 " +
			"does not let a job's token read environments.",
	}
)

const helpPassing = "GitLab did not give an answer in time; the runner may try again. If it stays so, check that this " +
	"host reaches [gitlab] url, proxy settings of the runner's service included."

// refusal classifies an answer that is not 200. location is where a redirect
// leads, "" if unknown.
func (e endpoint) refusal(status int, location string) error {
	err := fmt.Errorf("GitLab answered %d %s to %s", status, http.StatusText(status), e.shown)
	say := func(class fault.Class, help string) error { return fault.New(class, opProve, "", err, help) }
	switch {
	case status == http.StatusUnauthorized:
		return say(fault.Refused, e.unauthorized)
	case status == http.StatusForbidden:
		return say(fault.Refused, e.forbidden)
	case status == http.StatusNotFound:
		return say(fault.Refused, e.missing)
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return say(fault.Passing, helpPassing)
	case status >= 300 && status < 400:
		help := "Redirects are not followed, because the job's token would go along. Set [gitlab] url to GitLab's final address."
		if location != "" {
			err = fmt.Errorf("%w, a redirect to %s", err, job.Quote(location))
		}
		return say(fault.Permanent, help)
	}
	return say(fault.Permanent, "Check that [gitlab] url is GitLab's address and that no proxy answers in its place.")
}

// unreachable classifies a request that got no whole answer.
func unreachable(e endpoint, err error, token seal.Secret) error {
	help := helpPassing
	if untrusted(err) {
		help = "GitLab's certificate is not trusted by this host. If a private authority signed it, put the authority's " +
			"certificate into a PEM file and name it as ca_file under [gitlab]; otherwise check [gitlab] url and the host's clock."
	}
	if !token.Empty() && strings.Contains(err.Error(), token.Reveal()) { // net/http repeats a header that it does not understand
		err = errors.New("an answer that is not HTTP and repeats the job's token")
	}
	return passing(fmt.Errorf("no answer to %s: %w", e.shown, err), help)
}

// retryable says whether a failed request is worth another try: a certificate
// that is not trusted will not be a second later.
func retryable(err error) *retry {
	if untrusted(err) {
		return nil
	}
	return &retry{}
}

func untrusted(err error) bool {
	var cert *tls.CertificateVerificationError
	return errors.As(err, &cert)
}

func passing(err error, help string) error {
	return fault.New(fault.Passing, opProve, "", err, help)
}
