package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

func file(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// A session is in the environment of the script's own processes, and nowhere
// that the Engine keeps, shows or logs.
func TestCredentialsAreNowhereInTheEngine(t *testing.T) {
	d := dockertest.Own(t, "--debug")
	d.Import(t, fullImage, dockertest.Full())
	e, _ := prepared(t, d, func(p *docker.Plan) { p.Helper = &docker.Container{Name: fullImage, Pull: []string{"never"}} })
	const secret = "wJalrXUtnFEMI-SENTINEL"
	ctx, cancel := context.WithCancelCause(t.Context())
	var out safeBuffer
	done := make(chan error, 1)
	path := file(t, `echo "has $AWS_SECRET_ACCESS_KEY"
for pid in 1 $PPID; do tr '\0' '\n' </proc/$pid/cmdline | grep -c SENTINEL; done
tr '\0' '\n' </proc/1/environ | grep -c SENTINEL
cat /proc/$PPID/environ >/dev/null 2>&1 || echo agent is closed
cat /proc/$PPID/fd/* >/dev/null 2>&1 </dev/null || echo agent is closed
echo looked
sleep 1000`)
	go func() { done <- runFile(ctx, e, "build_script", path, &out, "AWS_SECRET_ACCESS_KEY="+secret) }()
	until(t, "the script has begun", func() bool { return strings.Contains(out.String(), "looked") })
	if got := out.String(); got != "has "+secret+"\n0\n0\n0\nagent is closed\nagent is closed\nlooked\n" {
		t.Errorf("inside: %q", got)
	}
	// While it runs, everything is asked that can be asked.
	places := map[string]string{"log of the daemon": d.Log()}
	for _, c := range decode[[]struct{ ID string }](t, get(t, d, "/containers/json?all=1")) {
		inspected := get(t, d, "/containers/"+c.ID+"/json")
		places["container"] += inspected
		places["log of container"] += get(t, d, "/containers/"+c.ID+"/logs?stdout=1&stderr=1")
		places["processes"] += get(t, d, "/containers/"+c.ID+"/top?ps_args=auxeww")
		for _, id := range decode[struct{ ExecIDs []string }](t, inspected).ExecIDs {
			places["exec"] += get(t, d, "/exec/"+id+"/json")
		}
	}
	for _, i := range decode[[]struct{ ID string }](t, get(t, d, "/images/json")) {
		places["image"] += get(t, d, "/images/"+i.ID+"/json") + get(t, d, "/images/"+i.ID+"/history")
	}
	places["volumes"], places["networks"] = get(t, d, "/volumes"), get(t, d, "/networks")
	// The environment of a process is shown by ps to root of the host alone;
	// that is where the session has to be.
	if !strings.Contains(places["processes"], "AWS_SECRET_ACCESS_KEY="+secret) {
		t.Log("ps does not show environments here")
	}
	delete(places, "processes")
	for where, text := range places {
		if text == "" {
			t.Errorf("nothing was seen of: %s", where)
		}
		if strings.Contains(text, "SENTINEL") {
			t.Errorf("the credential is in: %s", where)
		}
	}
	if !strings.Contains(places["exec"], "--agent") || !strings.Contains(places["log of the daemon"], "/exec/") {
		t.Error("the search does not see what it should")
	}
	cancel(errors.New("cancelled by test"))
	<-done
	if strings.Contains(d.Log(), "SENTINEL") {
		t.Error("the credential is in the daemon's log")
	}
	if got := must(t, e, "upload_artifacts_on_success", "env; tr '\\0' '\\n' </proc/1/environ"); strings.Contains(got, "SENTINEL") {
		t.Error("the credential is in the helper")
	}
}

func TestTheAgentCannotBeAlteredByAJob(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	out := must(t, e, "build_script", `dir=$(echo /.envrole-*)
echo x 2>/dev/null >$dir/envrole-run && echo WRITTEN
rm -f $dir/envrole-run 2>/dev/null && echo REMOVED
mv $dir /elsewhere 2>/dev/null && echo MOVED
mount -o remount,rw $dir 2>/dev/null && echo REMOUNTED
umount $dir 2>/dev/null && echo UNMOUNTED
[ -x $dir/envrole-run ] && echo tried`)
	if out != "tried\n" {
		t.Errorf("%q", out)
	}
}

// planted plays the agent, in the hope that somebody runs it as root.
const planted = `#!/bin/sh
echo "$* by $(id -u)" >>/builds/ran
case $2 in
idle) echo "envrole: ready"; exec sleep 1000 ;;
probe) echo '{}' ;;
exec) echo '{"exit":0,"stuck":1,"help":true}' >&2; sleep 1; echo '{"exit":0}' >&2 ;;
esac
`

// An image leads the places of volumes to that of the agent, by links and by
// volumes of its own, so that what an earlier job left in a volume lies there.
func TestAnImageCannotPutAVolumeInTheAgentsPlace(t *testing.T) {
	d := engineFor(t)
	link := func(to string) dockertest.File { return dockertest.File{Link: to} }
	for name, im := range map[string]dockertest.Image{
		"builds": dockertest.Full().WithFile("/builds", link("/.envrole")),
		"agent":  dockertest.Full().WithFile("/.envrole", link("/builds")),
		"volume": dockertest.Full().WithFile("/x/y", link("/.envrole")).WithFile("/.envrole/envrole-run", dockertest.File{Mode: 0o755, Content: planted}).With("VOLUME /x/y"),
	} {
		d.Import(t, "evil-"+name+":latest", im)
		with := func(image string) func(*docker.Plan) {
			return func(p *docker.Plan) {
				p.Image.Name, p.Image.User, p.BuildsVolume = image, "1000:1000", "evil-"+name
			}
		}
		e, _ := prepared(t, d, with(ciImage))
		must(t, e, "build_script", "cat >/builds/envrole-run <<'E'\n"+planted+"E\nchmod 755 /builds/envrole-run")
		e = &Engine{plan: plan(t, d, with("evil-"+name+":latest"))}
		var log safeBuffer
		if err := e.Prepare(t.Context(), &log); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out, err := script(t, e, "build_script", "echo of the script; cat /builds/ran 2>/dev/null || :")
		if err != nil || out != "of the script\n" {
			t.Errorf("%s: %v %q", name, err, out)
		}
		if err := e.Cleanup(t.Context(), &log, &log); err != nil {
			t.Error(err)
		}
		e, _ = prepared(t, d, with(ciImage))
		if got := must(t, e, "build_script", "cat /builds/ran 2>/dev/null || :"); got != "" {
			t.Errorf("%s: the planted program ran:\n%s", name, got)
		}
	}
}

// An image that bears the agent's name is not the agent.
func TestAnImageInTheAgentsPlaceIsRefused(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, fullImage, dockertest.Full())
	program, err := readAgent()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := d.Docker(t, "tag", fullImage, program.ref()); err != nil {
		t.Fatal(out)
	}
	e := &Engine{plan: plan(t, d, nil)}
	var out safeBuffer
	err = e.Prepare(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "not the one that this EnvRole makes") {
		t.Errorf("%v", err)
	}
	_ = e.Cleanup(t.Context(), &out, &out)
}

func TestAnAnswerIsKeptWithinBounds(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, "loud:latest", dockertest.Full().WithFile("/loud", dockertest.File{Mode: 0o755, Content: "#!/bin/sh\nhead -c 1000000 /dev/zero\n"}))
	e, _ := prepared(t, d, func(p *docker.Plan) { p.Image.Name = "loud:latest" })
	a, err := e.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	out, err := a.ask(t.Context(), time.Minute, e.jobContainer(), "", nil, "/loud")
	if err != nil || len(out) == 0 || len(out) > maxControl {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}
