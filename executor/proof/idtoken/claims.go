package idtoken

// This file reads a verified token's claims. It promises that a claim of an
// unexpected type, one that is missing, or one that stands there twice is an
// error that names the claim.

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"envrole/executor/job/strictjson"
)

// Claims are the claims about the job. The zero value of each is "not said".
type Claims struct {
	JobID, PipelineID, UserID int64
	// ProjectID is the project that runs the job, SourceProjectID the one whose
	// code runs: another one in a merge-request pipeline of a fork.
	ProjectID, SourceProjectID int64
	ProjectPath                string // of ProjectID

	Ref, RefType string
	RefProtected bool
	Source       string // of the pipeline

	Environment          string
	Slug                 string // not in the token: made of Environment, "" where that is not sure
	EnvironmentProtected string // "true", "false"
	Tier                 string // the author's word
	UserLogin            string
	AccessLevel          string // the user's, in SourceProjectID
	// Config is ci_config_ref_uri; after Verify without GitLab's host, and ""
	// for a fork.
	Config string
}

// Fork says whether the code comes from another project than the one that runs.
func (c Claims) Fork() bool { return c.SourceProjectID != c.ProjectID }

// stamp is what a token says of itself.
type stamp struct {
	issuer, id                 string
	audience                   []string
	expires, notBefore, issued time.Time
}

func parseClaims(payload []byte) (Claims, stamp, error) {
	top, err := strictjson.Value(payload).Object()
	if err != nil {
		return Claims{}, stamp{}, err
	}
	r := reader{in: top}
	c := Claims{
		JobID: r.id("job_id"), PipelineID: r.id("pipeline_id"), UserID: r.id("user_id"),
		SourceProjectID: r.id("project_id"), ProjectPath: r.text("project_path"),
		Ref: r.text("ref"), RefType: r.text("ref_type"), RefProtected: r.truth("ref_protected") == "true",
		Source: r.text("pipeline_source"), UserLogin: r.text("user_login"), AccessLevel: r.optional("user_access_level"),
		Environment: r.optional("environment"), Tier: r.optional("deployment_tier"), Config: r.optional("ci_config_ref_uri"),
	}
	c.ProjectID = c.SourceProjectID
	if top["job_project_id"].Present() { // GitLab 18 and newer
		c.ProjectID, c.ProjectPath = r.id("job_project_id"), r.text("job_project_path")
	}
	if top["environment_protected"].Present() {
		c.EnvironmentProtected = r.truth("environment_protected")
	}
	s := stamp{issuer: r.text("iss"), id: r.optional("jti"), expires: r.time("exp"), issued: r.time("iat")}
	if top["nbf"].Present() {
		s.notBefore = r.time("nbf")
	}
	if s.audience, err = audienceOf(top["aud"]); err != nil {
		r.fail("aud", err)
	}
	return c, s, r.err
}

// reader takes claims out of an object and keeps the first problem.
type reader struct {
	in  map[string]strictjson.Value
	err error
}

func (r *reader) fail(name string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (r *reader) text(name string) string {
	s := r.optional(name)
	if s == "" {
		r.fail(name, errors.New("missing"))
	}
	return s
}

// optional reads a text that may be null or left out.
func (r *reader) optional(name string) string {
	v := r.in[name]
	if !v.Present() || v.Null() {
		return ""
	}
	s, err := v.Text()
	if err != nil {
		r.fail(name, err)
	}
	return s
}

// truth reads "true" or "false": GitLab writes them as texts.
func (r *reader) truth(name string) string {
	s := r.text(name)
	if s != "true" && s != "false" {
		r.fail(name, errors.New(`neither "true" nor "false"`))
	}
	return s
}

func (r *reader) id(name string) int64 {
	n, err := idOf(r.in[name])
	if err != nil {
		r.fail(name, err)
	}
	return n
}

func (r *reader) time(name string) time.Time {
	n, err := r.in[name].Int()
	if err != nil || n <= 0 || n > math.MaxInt32*8 {
		r.fail(name, errors.New("not a time"))
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// idOf reads an id, which GitLab writes as a text of digits.
func idOf(v strictjson.Value) (int64, error) {
	s, err := v.Text()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || strings.Trim(s, "0123456789") != "" {
		return 0, errors.New("not an id")
	}
	return n, nil
}

// audienceOf reads both forms of aud, a text and a list of texts.
func audienceOf(v strictjson.Value) ([]string, error) {
	if s, err := v.Text(); err == nil {
		return []string{s}, nil
	}
	list, err := v.Array()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range list {
		s, err := e.Text()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
