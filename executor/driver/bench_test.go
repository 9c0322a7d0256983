package driver

import (
	"io"
	"os/exec"
	"path/filepath"
	"testing"

	"envrole/executor"
)

// BenchmarkRun compares one call of a driver that does nothing: as the runner
// makes it, wrapped, and wrapped with a session in a script of 64 KiB.
func BenchmarkRun(b *testing.B) {
	dir := b.TempDir()
	b.Setenv("TMPDIR", dir)
	script := executor.Script{Path: filepath.Join(dir, "script"), SubStage: "build_script"}
	if out, err := exec.Command("sh", "-c", "(echo '#!/bin/sh'; head -c 65536 /dev/zero | tr '\\0' x) > "+script.Path).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	e := &Executor{plan: Plan{Run: []string{"/bin/true"}, Inject: InjectScript, Mark: "m"}}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("/bin/true", script.Path, script.SubStage)
			cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, env := range map[string][]string{"wrapped": nil, "session": session()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := e.Run(b.Context(), script, env, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
