// Command sshdriver is a driver of the custom executor for tests: it ships each
// script over SSH to a host and runs it there with bash, as drivers for virtual
// machines do.
//
//	sshdriver PORT USER KEY KNOWN_HOSTS config|prepare|run|cleanup [SCRIPT SUB_STAGE]
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// sshFailed is the exit code by which ssh says that it failed itself.
const sshFailed = 255

func main() {
	if len(os.Args) < 6 {
		fmt.Fprintln(os.Stderr, "sshdriver: arguments are missing")
		os.Exit(number("SYSTEM_FAILURE_EXIT_CODE"))
	}
	host := remote{port: os.Args[1], user: os.Args[2], key: os.Args[3], known: os.Args[4]}
	os.Exit(stage(host, os.Args[5], os.Args[6:]))
}

type remote struct{ port, user, key, known string }

func stage(host remote, name string, args []string) int {
	switch name {
	case "config":
		fmt.Println(`{"driver":{"name":"ssh","version":"2"},"builds_dir":"/tmp/builds","cache_dir":"/tmp/cache","job_env":{"SSH_DRIVER":"yes"}}`)
	case "prepare":
		fmt.Println("reaching the host, SSH_DRIVER is", os.Getenv("SSH_DRIVER"))
		return host.run("true", os.DevNull)
	case "run":
		return host.run("bash", args[0])
	case "cleanup":
		fmt.Println("nothing to remove")
	}
	return 0
}

// run runs a command on the host, with a file as its standard input.
func (r remote) run(command, input string) int {
	in, err := os.Open(input)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sshdriver:", err)
		return number("SYSTEM_FAILURE_EXIT_CODE")
	}
	cmd := exec.Command(
		"ssh", "-F", "none", "-p", r.port, "-i", r.key, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile="+r.known, r.user+"@127.0.0.1", command,
	)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit), exit.ExitCode() < 0, exit.ExitCode() == sshFailed:
		fmt.Fprintln(os.Stderr, "sshdriver: ssh:", err)
		return number("SYSTEM_FAILURE_EXIT_CODE")
	}
	if file := os.Getenv("BUILD_EXIT_CODE_FILE"); file != "" {
		if err := os.WriteFile(file, []byte(strconv.Itoa(exit.ExitCode())+"\n"), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, "sshdriver:", err)
			return number("SYSTEM_FAILURE_EXIT_CODE")
		}
	}
	return number("BUILD_FAILURE_EXIT_CODE")
}

func number(name string) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return 2
	}
	return n
}
