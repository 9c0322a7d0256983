package proof

// This file pins the shapes of GitLab's two answers. It promises that anything
// else - a missing id, a null, another type, a key given twice - is an error
// that says what was expected. Fields that are not used may be there or not.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"envrole/executor/job/strictjson"
)

// jobAnswer is what GitLab says of the job that a token belongs to.
type jobAnswer struct {
	jobID, pipelineID, projectID, userID int64

	username       string
	hasEnvironment bool
	slug, tier     string // of the environment; tier "" if not said
}

// environment is one record of a project's environments.
type environment struct{ name, slug, tier string }

// parseJobAnswer reads
//
//	{"job":{"id":1},"pipeline":{"id":1},"project":{"id":1},
//	 "user":{"id":1,"username":"dana"},"environment":{"slug":"production","tier":"production"}}
//
// where environment is left out for a job without one, and its tier may be null.
func parseJobAnswer(body []byte) (jobAnswer, error) {
	top, err := strictjson.Value(body).Object()
	if err != nil {
		return jobAnswer{}, err
	}
	f := fields{}
	user := f.object(top, "user")
	a := jobAnswer{
		jobID:      f.id(f.object(top, "job"), "job.id"),
		pipelineID: f.id(f.object(top, "pipeline"), "pipeline.id"),
		projectID:  f.id(f.object(top, "project"), "project.id"),
		userID:     f.id(user, "user.id"),
		username:   f.text(user, "user.username"),
	}
	if top["environment"].Present() {
		env := f.object(top, "environment")
		a.hasEnvironment = true
		a.slug = f.slug(env, "environment.slug")
		a.tier = f.tier(env, "environment.tier")
	}
	return a, f.err
}

// parseRecords reads [{"id":1,"name":"production","slug":"production","tier":"production"}].
func parseRecords(body []byte) ([]environment, error) {
	list, err := strictjson.Value(body).Array()
	if err != nil {
		return nil, err
	}
	f := fields{}
	records := make([]environment, 0, len(list))
	for _, v := range list {
		o, err := v.Object()
		if err != nil {
			return nil, err
		}
		f.id(o, "id")
		records = append(records, environment{name: f.text(o, "name"), slug: f.slug(o, "slug"), tier: f.tier(o, "tier")})
	}
	return records, f.err
}

// fields takes members out of objects and keeps the first problem. Paths such
// as "user.id" are for messages; their last part is the key.
type fields struct{ err error }

func (f *fields) fail(path string, err error) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: %w", path, err)
	}
}

func (f *fields) member(in map[string]strictjson.Value, path string) strictjson.Value {
	v := in[path[strings.LastIndexByte(path, '.')+1:]]
	if !v.Present() {
		f.fail(path, errors.New("missing"))
	}
	return v
}

func (f *fields) object(in map[string]strictjson.Value, path string) map[string]strictjson.Value {
	o, err := f.member(in, path).Object()
	if err != nil {
		f.fail(path, err)
	}
	return o
}

func (f *fields) id(in map[string]strictjson.Value, path string) int64 {
	n, err := f.member(in, path).Int()
	if err == nil && n <= 0 {
		err = errors.New("not a positive number")
	}
	if err != nil {
		f.fail(path, err)
	}
	return n
}

func (f *fields) text(in map[string]strictjson.Value, path string) string {
	s, err := f.member(in, path).Text()
	if err == nil && s == "" {
		err = errors.New("empty")
	}
	if err != nil {
		f.fail(path, err)
	}
	return s
}

// maxSlug is twice and more what GitLab allows (24): room for change, but a
// slug ends up in role names.
const maxSlug = 63

func (f *fields) slug(in map[string]strictjson.Value, path string) string {
	s := f.text(in, path)
	if len(s) > maxSlug || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		f.fail(path, errors.New("not a slug"))
	}
	return s
}

// tier reads the stored tier; absent and null are "", and then no condition on
// the tier holds.
func (f *fields) tier(in map[string]strictjson.Value, path string) string {
	if v := in["tier"]; !v.Present() || v.Null() {
		return ""
	}
	s := f.text(in, path)
	if !slices.Contains([]string{"production", "staging", "testing", "development", "other"}, s) {
		f.fail(path, errors.New("not one of GitLab's five tiers"))
	}
	return s
}
