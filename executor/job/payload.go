// Package job reads GitLab Runner's side of the contract: the job payload, the
// claims in its variables, the environment of a stage, and the way back to the
// runner (exit codes).
//
// What it promises: facts come only from fields that GitLab itself fills; what
// a job's author can write is either marked as the author's word or kept apart
// as a claim, to be confirmed by GitLab (package proof) before it counts. The
// job token never appears in an error.
package job

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"envrole/executor/job/strictjson"
	"envrole/roles/fault"
	"envrole/roles/seal"
)

// MaxPayload is the largest payload that is read, in bytes. GitLab bounds
// neither scripts nor variables; real payloads are 10 KiB to a few MiB.
const MaxPayload = 64 << 20

// maxTimeout bounds runner_info.timeout, so that a deadline made from it cannot
// overflow. No job runs for ten years.
const maxTimeout = 10 * 365 * 24 * 60 * 60

const opRead = "read the job payload"

// Payload is the part of the job response that EnvRole reads. Numbers and texts
// that an older runner or GitLab does not send are 0 and "". No text in it holds
// the job token: authors can have GitLab expand $CI_JOB_TOKEN into a variable,
// and texts end up in logs.
type Payload struct {
	ID      int64
	Token   seal.Secret
	Job     Info
	Git     Git
	Timeout time.Duration // of the job; 0 if not given
	// Variables are those that facts and claims are read from, in the payload's
	// order, duplicates included. The others are not kept: they hold the job's
	// secrets.
	Variables []Variable
	// Tokens are the variables' values that have the form of a signed JWT, each
	// once, whatever their names. They are claims as all variables: package
	// idtoken judges them. TokensLeftOut counts those beyond the limits.
	Tokens        []seal.Secret
	TokensLeftOut int
}

// Info is job_info. GitLab writes all of it; Name is the author's choice.
type Info struct {
	Name            string
	ProjectID       int64
	PipelineID      int64  // 0 from runners before 18.5
	UserID          int64  // 0 from runners before 18.5
	ProjectFullPath string // "" from runners before 18.5
}

// Git is git_info.
type Git struct {
	// RepoURL is without the credentials that GitLab puts there (the job token).
	RepoURL  string
	Ref      string
	RefType  string // "branch" or "tag"
	Refspecs []string
	// Protected is nil where runner or GitLab are too old to say.
	Protected *bool
}

// Variable is one entry of the variable list. An author can add one with a
// predefined key, and choose its value.
type Variable struct{ Key, Value string }

// ReadPayload reads the file that JOB_RESPONSE_FILE names. A file that cannot
// be read is an internal fault, one of an unknown shape a permanent one.
func ReadPayload(path string) (*Payload, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return ParsePayload(f)
}

func openFile(path string) (*os.File, error) {
	f, err := os.Open(path) // #nosec G304 -- the runner names the file
	if err != nil {
		return nil, fault.New(fault.Internal, opRead, "", err,
			"GitLab Runner writes this file and names it in JOB_RESPONSE_FILE.")
	}
	return f, nil
}

// ParsePayload reads a payload from r, at most MaxPayload bytes.
func ParsePayload(r io.Reader) (*Payload, error) {
	b, err := readAll(r)
	if err != nil {
		return nil, err
	}
	p, err := parse(b)
	if err != nil {
		return nil, malformed(err)
	}
	return p, nil
}

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxPayload+1))
	if err != nil {
		return nil, fault.New(fault.Internal, opRead, "", err, "")
	}
	if len(b) > MaxPayload {
		return nil, fault.New(fault.Permanent, opRead, "", fmt.Errorf("larger than %d MiB", MaxPayload>>20),
			"The job's variables and scripts together are too large.")
	}
	return b, nil
}

func malformed(err error) error {
	return fault.New(fault.Permanent, opRead, "", err,
		"EnvRole knows the payloads of GitLab Runner 16 to 19.")
}

// open reads the file's members, and makes a reader that knows the job token.
func open(path string) (map[string]strictjson.Value, *reader, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := readAll(f)
	if err != nil {
		return nil, nil, err
	}
	top, err := strictjson.Value(b).Object()
	if err != nil {
		return nil, nil, malformed(err)
	}
	r := &reader{}
	r.token = r.rawText(top, "token")
	return top, r, nil
}

func parse(b []byte) (*Payload, error) {
	top, err := strictjson.Value(b).Object()
	if err != nil {
		return nil, err
	}
	r := reader{}
	r.token = r.rawText(top, "token")
	if r.token == "" {
		r.fail("token", errors.New("empty"))
	}
	p := &Payload{ID: r.id(top, "id", required), Token: seal.NewSecret(r.token)}

	info := r.object(top, "job_info")
	p.Job = Info{
		Name:            r.text(info, "name"),
		ProjectID:       r.id(info, "project_id", required),
		PipelineID:      r.id(info, "pipeline_id", optional),
		UserID:          r.id(info, "user_id", optional),
		ProjectFullPath: r.text(info, "project_full_path"),
	}
	if again := r.id(info, "id", optional); again != 0 && again != p.ID {
		r.fail("job_info.id", fmt.Errorf("%d, but id is %d", again, p.ID))
	}

	git := r.object(top, "git_info")
	p.Git = Git{
		RepoURL:   r.redacted(withoutUserinfo(r.rawText(git, "repo_url"))),
		Ref:       r.text(git, "ref"),
		RefType:   r.text(git, "ref_type"),
		Refspecs:  r.texts(git, "refspecs"),
		Protected: r.flag(git, "protected"),
	}

	runner := r.object(top, "runner_info")
	if s := r.id(runner, "timeout", optional); s <= maxTimeout {
		p.Timeout = time.Duration(s) * time.Second
	} else {
		r.fail("timeout", fmt.Errorf("%d seconds", s))
	}
	p.Variables = r.variables(top)
	p.Tokens, p.TokensLeftOut = r.tokens.found, r.tokens.leftOut
	if r.err != nil {
		return nil, r.err
	}
	return p, nil
}
