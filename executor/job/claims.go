package job

// This file reads what the variable list claims about the environment, and
// lints it. It promises early and clear refusals, not safety: no rule over a
// list that authors write is sound, so a claim that passes the lint is still
// only a claim, until package proof has GitLab's word on it.

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"envrole/roles"
	"envrole/roles/fault"
)

// maxName is the longest environment name that GitLab stores, in characters.
const maxName = 255

// Claims is what the variables say of the environment: every distinct value,
// in order of first appearance. Empty names and slugs claim nothing and are
// left out, but count as a difference in Lint.
type Claims struct {
	Names []string
	Slugs []string
	Tiers []string

	nameValues, slugValues []string // distinct, the empty one included
}

// Claims reads the claims, without judging them.
func (p *Payload) Claims() Claims {
	c := Claims{
		nameValues: distinct(p.values(nameVariable)),
		slugValues: distinct(p.values(slugVariable)),
	}
	c.Names = withoutEmpty(c.nameValues)
	c.Slugs = withoutEmpty(c.slugValues)
	c.Tiers = withoutEmpty(distinct(p.values(tierVariable)))
	return c
}

// Name is the claimed environment. It is "" unless Lint passes.
func (c Claims) Name() string { return c.only(c.Names) }

// Slug is the claimed slug, "" if none is claimed or Lint does not pass.
func (c Claims) Slug() string { return c.only(c.Slugs) }

func (c Claims) only(values []string) string {
	if len(values) != 1 || c.Lint() != nil {
		return ""
	}
	return values[0]
}

// Lint refuses claims that contradict themselves, with an error that names the
// variable and where it must be removed. Call it only for a job whose claimed
// names (any of Names) could match a rule: nobody else needs to be bothered.
//
// A name without a slug passes. GitLab sends the slug as soon as the
// environment is stored, so such a claim is nearly always false; but whether
// the job has an environment is GitLab's to say, and its answer makes the
// better refusal. An environment that was renamed by an old GitLab keeps the
// slug of its first name and is refused: it has to be made anew.
func (c Claims) Lint() error {
	if err := differing(nameVariable, c.nameValues); err != nil {
		return err
	}
	if err := differing(slugVariable, c.slugValues); err != nil {
		return err
	}
	if len(c.Names) == 0 {
		if len(c.Slugs) > 0 {
			return refuse(fmt.Errorf("%s is %s, but there is no %s", slugVariable, Quote(c.Slugs[0]), nameVariable), slugVariable)
		}
		return nil
	}
	name := c.Names[0]
	if err := plausible(name); err != nil {
		return refuse(fmt.Errorf("%s is %s: %w", nameVariable, Quote(name), err), nameVariable)
	}
	if len(c.Slugs) > 0 && !roles.SlugCouldBelong(name, c.Slugs[0]) {
		return refuse(fmt.Errorf("%s is %s, but %s is %s, which is not the slug of that name",
			nameVariable, Quote(name), slugVariable, Quote(c.Slugs[0])), nameVariable+" or "+slugVariable)
	}
	return nil
}

func differing(variable string, values []string) error {
	if len(values) < 2 {
		return nil
	}
	return refuse(fmt.Errorf("%s is set more than once, to %s and to %s", variable, Quote(values[0]), Quote(values[1])), variable)
}

// plausible refuses a name that GitLab could not have stored.
func plausible(name string) error {
	if n := utf8.RuneCountInString(name); n > maxName {
		return fmt.Errorf("%d characters, GitLab allows %d", n, maxName)
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return errors.New("it has a control character")
	}
	return nil
}

func refuse(err error, variable string) error {
	return fault.New(fault.Refused, "check the job's environment", "", err,
		"Remove "+variable+" wherever it is set by hand: the variables of the project, its groups and the instance "+
			"(Settings > CI/CD > Variables), `variables:` in .gitlab-ci.yml and its includes, variables given to the pipeline "+
			"(run by hand, schedule, trigger, API), and dotenv report artifacts of earlier jobs. "+
			"GitLab sets it by itself for a job with `environment:`.")
}

func withoutEmpty(values []string) []string {
	var out []string
	for _, v := range values {
		if v != "" {
			out = append(out, v)
		}
	}
	return out
}
