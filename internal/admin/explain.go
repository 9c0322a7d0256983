package admin

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"envrole/executor/job"
	"envrole/internal/stage/setup"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

func explainCommand() command {
	return command{
		name: "explain",
		args: "(--job response.json | --project PATH --environment NAME [--ref REF --protected ...]) [--json]",
		about: "show which role a job would get, and why each rule did or did not match\n" +
			"With --job, the facts come from a job payload and the environment is the one that it claims;\n" +
			"GitLab is not asked, so the answer holds if GitLab confirms the claim. An ID token in the payload is\n" +
			"verified with the keys that this host has cached, whatever its age. With the other flags\n" +
			"the facts are yours. Exit code 1 if the job would be refused.",
		flags: func(set *flag.FlagSet) func(context.Context, console) (int, error) {
			var q question
			q.register(set)
			return func(ctx context.Context, con console) (int, error) { return explain(ctx, con, q) }
		},
	}
}

// question is a job as the flags describe it.
type question struct {
	payload                               string
	project, environment, tier, ref, user string
	jobName, action, source               string
	projectID, jobID, pipelineID          int64
	tag, protected, mergeRequest          bool

	proof                 string
	environmentProtected  bool
	accessLevel, ciConfig string
}

func (q *question) register(set *flag.FlagSet) {
	set.StringVar(&q.payload, "job", "", "job payload `FILE`, as GitLab Runner hands it to the driver")
	set.StringVar(&q.project, "project", "", "project's full `PATH`")
	set.Int64Var(&q.projectID, "project-id", 0, "project's id")
	set.StringVar(&q.environment, "environment", "", "environment's `NAME`")
	set.StringVar(&q.tier, "tier", "", "environment's stored tier")
	set.StringVar(&q.ref, "ref", "", "branch or tag")
	set.BoolVar(&q.tag, "tag", false, "the ref is a tag")
	set.BoolVar(&q.protected, "protected", false, "the ref is protected")
	set.BoolVar(&q.mergeRequest, "merge-request", false, "the pipeline runs for a merge request")
	set.StringVar(&q.user, "user", "", "login of the user who started the job")
	set.StringVar(&q.jobName, "job-name", "", "job's name")
	set.StringVar(&q.action, "action", "start", "environment action")
	set.StringVar(&q.source, "source", "push", "pipeline source")
	set.StringVar(&q.proof, "proof", "", "how the environment is proven: unverified, api or id_token; the most that a rule wants, if not given")
	set.BoolVar(&q.environmentProtected, "environment-protected", false, "an ID token says that the environment is protected")
	set.StringVar(&q.accessLevel, "user-access-level", "", "the user's role in the project, as an ID token says it")
	set.StringVar(&q.ciConfig, "ci-config", "", "where the pipeline's configuration lies, as an ID token says it")
	set.Int64Var(&q.jobID, "job-id", 1, "job's id")
	set.Int64Var(&q.pipelineID, "pipeline-id", 1, "pipeline's id")
}

func explain(ctx context.Context, con console, q question) (int, error) {
	if q.payload == "" && q.project == "" && q.projectID == 0 {
		return exitUsage, fmt.Errorf("%w: --job, --project or --project-id is needed", errUsage)
	}
	conf, err := con.settings()
	if err != nil {
		return exitFailure, err
	}
	facts, note, err := q.facts(ctx, conf)
	switch {
	case fault.ClassOf(err) == fault.Refused: // by the lint, as the job would be
		return exitFinding, err
	case err != nil:
		return exitFailure, err
	}
	rules := conf.Rules
	if q.payload != "" {
		rules = ifGitLabConfirms(rules)
	}
	view := roles.Decide(rules, facts).Explain(facts)
	if con.json {
		enc := json.NewEncoder(con.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(view); err != nil {
			return exitFailure, err
		}
	} else {
		fmt.Fprint(con.out, view.Text())
		if note != "" {
			fmt.Fprintln(con.out, "\n"+note)
		}
	}
	if view.Outcome == roles.Refuse.String() {
		return exitFinding, nil
	}
	return exitOK, nil
}

// facts are what the question describes; note says what the answer rests on.
func (q question) facts(ctx context.Context, conf *settings.Settings) (roles.Facts, string, error) {
	if q.payload == "" {
		f, err := q.described(conf)
		return f, "", err
	}
	payload, err := job.ReadPayload(q.payload)
	if err != nil {
		return roles.Facts{}, "", err
	}
	facts, err := setup.Facts(payload, conf)
	if err != nil {
		return roles.Facts{}, "", err
	}
	claims := payload.Claims()
	if roles.Possible(conf.Rules, facts, claims.Names).Could {
		if err := claims.Lint(); err != nil {
			return roles.Facts{}, "", err
		}
	}
	facts = payload.Unverified(facts)
	facts, note := withToken(ctx, conf, payload, facts, claims)
	if conf.GitLab.Proof == settings.ProofAPI {
		note = strings.TrimSpace("The environment is only claimed here. Before a job runs, GitLab is asked; the job is refused if GitLab does not confirm it.\n" + note)
	}
	return facts, note, nil
}

func (q question) described(conf *settings.Settings) (roles.Facts, error) {
	said, err := q.provenance(conf)
	if err != nil {
		return roles.Facts{}, err
	}

	fact := func(v string, from roles.Provenance) roles.Fact {
		if v == "" {
			return roles.Fact{}
		}
		return roles.Fact{Value: v, From: from}
	}
	f := roles.Facts{
		JobID: q.jobID, ProjectID: q.projectID, PipelineID: q.pipelineID,
		ProjectPath: fact(q.project, roles.Payload), Ref: fact(q.ref, roles.Payload), Tag: q.tag,
		RefProtected: q.protected, MergeRequest: q.mergeRequest || roles.IsMergeRequestRef(q.ref),
		Environment: fact(q.environment, said), Tier: fact(q.tier, roles.GitLabAPI), UserLogin: fact(q.user, said),
		JobName: fact(q.jobName, roles.Author), Action: fact(q.action, roles.Author), Source: fact(q.source, roles.Author),
	}
	if q.environment != "" {
		f.EnvironmentSlug = fact(roles.EnvironmentSlug(q.environment), said)
	}
	if said >= roles.IDToken {
		f.EnvironmentProtected = fact(strconv.FormatBool(q.environmentProtected), said)
		f.UserAccessLevel, f.CIConfig = fact(q.accessLevel, said), fact(q.ciConfig, said)
	}
	return f, nil
}
