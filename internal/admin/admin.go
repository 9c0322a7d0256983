// Package admin is the `envrole` command: what an administrator asks of a
// configuration and a ledger. One file a subcommand; each prints for people, or
// JSON with --json, and says by its exit code whether all is well.
package admin

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"envrole/internal/stage"
	"envrole/internal/stage/setup"
	"envrole/internal/version"
	"envrole/roles/settings"
)

// The exit codes of the envrole command.
const (
	exitOK      = 0
	exitFinding = 1  // the answer is bad news: problems, a refusal, unrevoked sessions
	exitFailure = 2  // the command could not do its work
	exitUsage   = 64 // the command line is wrong
)

// console is where a subcommand reads its settings from and writes to.
type console struct {
	out, err io.Writer
	config   string
	json     bool
}

// command is one subcommand.
type command struct {
	name  string
	args  string
	about string
	// flags adds the subcommand's own flags and gives what runs it.
	flags func(*flag.FlagSet) func(context.Context, console) (int, error)
}

func commands() []command {
	return []command{checkCommand(), explainCommand(), leasesCommand(), sweepCommand(), revokeCommand()}
}

// errUsage marks a wrong command line.
var errUsage = errors.New("wrong command line")

// Main runs the command and gives its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "version", "--version", "-version":
		fmt.Fprintln(stdout, "envrole", version.String())
		return exitOK
	case "help", "--help", "-help", "-h":
		usage(stdout)
		return exitOK
	}
	if args[0] == stageCommand {
		return runStage(args[1:], stderr)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.main(args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "envrole: there is no command %q\n\n", args[0])
	usage(stderr)
	return exitUsage
}

func (c command) main(args []string, stdout, stderr io.Writer) int {
	con := console{out: stdout, err: stderr}
	set := flag.NewFlagSet("envrole "+c.name, flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&con.config, "config", configFile(), "configuration `FILE` (environment: ENVROLE_CONFIG)")
	set.BoolVar(&con.json, "json", false, "print JSON")
	run := c.flags(set)
	set.Usage = func() {
		fmt.Fprintf(set.Output(), "Usage: envrole %s %s\n\n%s\n\nFlags:\n", c.name, c.args, c.about)
		set.PrintDefaults()
	}
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case set.NArg() > 0:
		fmt.Fprintf(stderr, "envrole %s: %q is one argument too many\n", c.name, set.Arg(0))
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	code, err := run(ctx, con)
	if errors.Is(err, errUsage) {
		fmt.Fprintf(stderr, "envrole %s: %v\n\n", c.name, err)
		set.Usage()
		return exitUsage
	}
	if err != nil {
		stage.Explain(stderr, err)
		if code == exitOK {
			return exitFailure
		}
	}
	return code
}

func usage(w io.Writer) {
	fmt.Fprint(w, "envrole gives every GitLab CI job the AWS role that its environment stands for.\n\nUsage: envrole COMMAND [--config FILE] [--json] [flags]\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, firstLine(c.about))
	}
	fmt.Fprint(w, "  version  print the version\n\n`envrole COMMAND --help` says more. Exit codes: 0 all is well, 1 there is something\nto look at, 2 the command failed, 64 the command line is wrong.\n")
}

func firstLine(s string) string {
	for i, r := range s {
		if r == '\n' {
			return s[:i]
		}
	}
	return s
}

func configFile() string {
	if f := os.Getenv("ENVROLE_CONFIG"); f != "" {
		return f
	}
	return stage.DefaultConfig
}

func (c console) settings() (*settings.Settings, error) {
	return setup.Settings(stage.Call{ConfigFile: c.config})
}
