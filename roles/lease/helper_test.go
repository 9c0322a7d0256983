package lease

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv makes the test binary play a child process: its value is what to do.
const helperEnv = "ENVROLE_LEASE_TEST_HELPER"

func TestMain(m *testing.M) {
	if what := os.Getenv(helperEnv); what != "" {
		var args []string
		err := json.NewDecoder(os.NewFile(3, "arguments")).Decode(&args)
		if err == nil {
			err = helper(what, args)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper(what string, args []string) error {
	ctx := context.Background()
	switch what {
	case "chain":
		fmt.Println(EncodeChain(Ancestors()))
		return nil
	case "owner":
		chain, err := DecodeChain(args[0])
		if err != nil {
			return err
		}
		o, err := FindOwner(chain)
		fmt.Println(o.PID)
		return err
	case "block":
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	l, err := Open(args[0])
	if err != nil {
		return err
	}
	switch what {
	case "count": // add to a lease's attempts, many times
		n, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		for range n {
			if _, err := l.Update(ctx, args[1], func(le *Lease) error { le.Attempts++; return nil }); err != nil {
				return err
			}
		}
		return nil
	case "churn": // make and change leases until killed; say what was promised
		for {
			le := sample()
			if err := l.Create(ctx, le); err != nil {
				return err
			}
			fmt.Println("asked", le.ID)
			if _, err := l.Update(ctx, le.ID, func(le *Lease) error { le.State = Lent; return nil }); err != nil {
				return err
			}
			fmt.Println("lent", le.ID)
		}
	case "writer":
		w, err := l.Writer()
		fmt.Println(w)
		return err
	case "hold":
		if _, err := l.Hold(args[1]); err != nil {
			return err
		}
		fmt.Println("held")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case "small": // write with a limit on file sizes that no record fits under
		lim := syscall.Rlimit{Cur: 64, Max: 64}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &lim); err != nil {
			return err
		}
		if err := l.Create(ctx, sample()); err == nil {
			return errors.New("create succeeded")
		}
		_, err := l.Update(ctx, args[1], func(le *Lease) error { le.State = Lent; return nil })
		if err == nil {
			return errors.New("update succeeded")
		}
		fmt.Println(err)
		return nil
	}
	return fmt.Errorf("unknown helper %q", what)
}

func child(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), helperEnv+"="+what)
	// Arguments come by a pipe, which holds them until the child reads.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(w).Encode(args); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() { _ = r.Close() })
	cmd.ExtraFiles = []*os.File{r}
	cmd.Stderr = os.Stderr
	return cmd
}

// sample is a new lease of a job in production; ids and names are random.
func sample() Lease {
	id, err := NewID()
	if err != nil {
		panic(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	return Lease{
		ID: id, State: Asked, JobID: 7, ProjectID: 42, Project: "acme/shop/web", Environment: "production", Rule: "deploys",
		RoleARN: "arn:aws:iam::111122223333:role/deploy", SessionName: "gl-7-" + id[:13], Revoke: "policy",
		AskedAt: now, ExpiresAt: now.Add(time.Hour), Deadline: now.Add(2 * time.Hour),
	}
}

func open(t *testing.T) *Ledger {
	t.Helper()
	l, err := Open(t.TempDir() + "/state")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func create(t *testing.T, l *Ledger) Lease {
	t.Helper()
	le := sample()
	if err := l.Create(t.Context(), le); err != nil {
		t.Fatal(err)
	}
	got, err := l.Get(le.ID)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func firstLine(t *testing.T, r io.Reader) string {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
