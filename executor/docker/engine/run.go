package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"envrole/executor"
	"envrole/executor/docker/agent"
	"envrole/roles/fault"
)

// answerBound is how much longer than it may need the agent is waited for.
const answerBound = 5 * time.Second

// Run implements executor.Executor. The script and env go to the agent in the
// container over the stream of its standard input, and nowhere else. What the
// script leaves running is ended with it.
func (e *Engine) Run(ctx context.Context, script executor.Script, env []string, out io.Writer) error {
	if ctx.Err() != nil {
		return fmt.Errorf("run %s: %w", script.SubStage, context.Cause(ctx))
	}
	f, err := os.Open(script.Path)
	if err != nil {
		return fault.New(fault.Internal, "read script of", script.SubStage, err, "")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fault.New(fault.Internal, "read script of", script.SubStage, err, "")
	}
	a, err := e.dial()
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	place, umask := e.place(script.SubStage)
	s, err := a.open(ctx, place, "", e.agentPath(), agent.Flag, "exec")
	if err != nil {
		return e.notStarted(ctx, a, place, script.SubStage, err)
	}
	defer s.close()
	beat := orElse(e.beat, heartbeat)
	header := agent.Header{
		Silence: silentBeats * beat,
		Shell:   e.shell(), Env: append(e.passed(os.Environ()), env...), Umask: umask,
		Grace: e.grace(), Script: info.Size(), Helper: true, Repository: e.repository(os.Getenv(projectDir)),
	}
	over := make(chan struct{})
	defer close(over)
	go func() { // the agent's first words may come before it has read all
		if agent.WriteHeader(s.stream.Conn, header) != nil {
			return // reading from the agent says what it is
		}
		if _, err := io.Copy(s.stream.Conn, io.LimitReader(f, info.Size())); err == nil {
			s.live(over, beat)
		}
	}()
	end := func() {
		s.endInput()
		_ = s.stream.Conn.SetReadDeadline(time.Now().Add(e.grace() + agent.KillBound + agent.HelpBound + answerBound))
	}
	stop := context.AfterFunc(ctx, end)
	defer stop()
	control, copyErr := s.copyTo(out, end, callOnce(func(pid int) { go e.help(ctx, a, place, pid) }))
	r, ok := resultOf(control)
	if !ok || r.Stuck != 0 {
		return e.force(ctx, a, place, script.SubStage)
	}
	return e.outcome(ctx, a, script.SubStage, r, copyErr, out)
}

// place is where a sub-stage runs. What the runner's own scripts make must be
// usable by an image of any user.
func (e *Engine) place(subStage string) (container string, umask *int) {
	if executor.UserSubStage(subStage) {
		return e.jobContainer(), nil
	}
	open := 0
	return e.helperContainer(), &open
}

// projectDir is where the runner has the checkout. An author can set it: only
// the job itself believes it.
const projectDir = "CUSTOM_ENV_CI_PROJECT_DIR"

// repository is the checkout if it is in the job's own builds, else "".
func (e *Engine) repository(dir string) string {
	dir = path.Clean(dir)
	if e.plan.BuildsVolume == "" || !strings.HasPrefix(dir, path.Clean(e.plan.BuildsDir)+"/") {
		return ""
	}
	return dir
}

func (e *Engine) grace() time.Duration { return orElse(e.plan.Grace, defaultGrace) }

// passed are the variables of the runner's environment that the plan names.
func (e *Engine) passed(own []string) []string {
	from := map[string]string{}
	for _, kv := range own {
		if k, v, ok := strings.Cut(kv, "="); ok {
			from[k] = v
		}
	}
	var env []string
	for _, name := range e.plan.PassEnv {
		if v, ok := from[name]; ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// outcome turns the agent's result into that of Run.
func (e *Engine) outcome(ctx context.Context, a *api, subStage string, r agent.Result, copyErr error, out io.Writer) error {
	var noLog *logError
	switch {
	case r.Ended && ctx.Err() != nil:
		return fmt.Errorf("run %s: %w", subStage, context.Cause(ctx))
	case errors.As(copyErr, &noLog):
		return fmt.Errorf("run %s: %w", subStage, noLog)
	case r.Ended:
		return fault.New(fault.Passing, "run", subStage, errors.New("the Engine ended the connection to the script, which was ended with it"), "")
	case r.NoFile:
		return fault.New(fault.Permanent, "run", subStage, errors.New(r.Error), "Use an image that has the shell, or another executor.docker.shell.")
	case r.Error != "":
		return fault.New(fault.Internal, "run", subStage, errors.New("agent: "+r.Error), "")
	case copyErr != nil:
		return a.classify("read output of "+subStage, copyErr)
	case r.Signal != 0:
		help := ""
		if r.OOM {
			help = outOfMemory
		}
		return fault.New(fault.Passing, "run", subStage, fmt.Errorf("the job's shell was killed by signal %d", r.Signal), help)
	case r.Exit == 0:
		return nil
	}
	if r.OOM {
		say(out, "%s", outOfMemory)
	}
	return &executor.ExitError{Code: r.Exit}
}

const outOfMemory = "The container ran out of memory, and the kernel ended a process of it: executor.docker.memory is the limit."

// notStarted says why no script could be started in a container.
func (e *Engine) notStarted(ctx context.Context, a *api, place, subStage string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	s, stateErr := a.state(ctx, place)
	switch {
	case gone(stateErr):
		err = errors.New("its container is not there any more")
	case stateErr != nil || s.running:
		return err
	case s.oom:
		err = errors.New("its container ran out of memory")
	default:
		err = fmt.Errorf("its container has ended with exit code %d", s.code)
	}
	return fault.New(fault.Passing, "run", subStage, err, "It may have been ended with an earlier script, by its entrypoint, or with the Engine.")
}

// callOnce calls help when the agent asks for it, which it does once a script:
// each help is a process of root.
func callOnce(help func(pid int)) func(line []byte) {
	called := false
	return func(line []byte) {
		if r, ok := result(line); ok && r.Help && !called {
			called = true
			help(r.Stuck)
		}
	}
}

// help ends, as root inside the container, what the agent may not signal. Whether
// it succeeded the agent says.
func (e *Engine) help(ctx context.Context, a *api, place string, pid int) {
	_, _ = a.ask(context.WithoutCancel(ctx), agent.HelpBound, place, "0:0", nil, e.agentPath(), "end", strconv.Itoa(pid))
}

// force ends a container whose agent could not end all processes, or did not say
// that it had.
func (e *Engine) force(ctx context.Context, a *api, place, subStage string) error {
	cause := context.Cause(ctx) // may be nil
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*a.timeout)
	defer cancel()
	s, err := a.state(after, place)
	if err != nil {
		return fault.New(fault.Passing, "run", subStage, errors.Join(errors.New("the connection to the script was lost"), err, cause), fault.HelpOf(err))
	}
	if !s.running {
		why := fmt.Sprintf("the job's container ended with exit code %d", s.code)
		if s.oom {
			why = "the job's container ran out of memory"
		}
		return fault.New(fault.Passing, "run", subStage, errors.Join(errors.New(why), cause), "See executor.docker.memory, and whether the Engine was stopped.")
	}
	err = a.call(after, "kill container "+place, func(ctx context.Context) error {
		_, err := a.ContainerKill(ctx, place, client.ContainerKillOptions{Signal: "SIGKILL"})
		return err
	})
	return fault.New(fault.Passing, "run", subStage, errors.Join(errors.New("what runs the script gave no answer, or could not end it, so the container was killed"), err, cause),
		"See whether the Engine was stopped or restarted meanwhile: journalctl -u docker.")
}
