package shell

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"envrole/roles/fault"
)

// subIDFiles give users ids besides their own.
func subIDFiles() []string { return []string{"/etc/subuid", "/etc/subgid"} }

// checkPoolAccount refuses an account of executor.shell.users in which a job
// could leave something for the next one where no cleanup finds it.
func (who account) checkPoolAccount(subIDs []string) error {
	if err := who.checkHome(); err != nil {
		return err
	}
	for _, file := range subIDs {
		if err := who.checkSubIDs(file); err != nil {
			return err
		}
	}
	return nil
}

// checkHome refuses a home that stays from job to job. HOME is the job's own,
// but sshd, ssh and Java look into the user database.
func (who account) checkHome() error {
	why, err := WritableBy(who.home, who.uid, append([]int{who.gid}, who.groups...))
	if err != nil {
		return poolFault(who.name, fmt.Errorf("home %s: %w", who.home, err), "usermod -d /nonexistent "+who.name)
	}
	if why == "" {
		return nil
	}
	return poolFault(who.name, fmt.Errorf("one job could leave files for the next in its home %s: %s", who.home, why), "usermod -d /nonexistent "+who.name)
}

// checkSubIDs refuses further ids: a process with one of them is out of reach of
// what ends the user's processes, and so are its files.
func (who account) checkSubIDs(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return poolFault(who.name, err, "See that "+file+" can be read.")
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		owner, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if owner == who.name || owner == strconv.Itoa(who.uid) {
			return poolFault(who.name, fmt.Errorf("%s gives it further ids, under which a process of a job would outlive it", file),
				"Remove the lines of "+owner+" from /etc/subuid and /etc/subgid.")
		}
	}
	if err := lines.Err(); err != nil {
		return poolFault(who.name, fmt.Errorf("read %s: %w", file, err), "See that "+file+" can be read.")
	}
	return nil
}

func poolFault(name string, err error, help string) error {
	return fault.New(fault.Refused, "give jobs the user", strconv.Quote(name), err, "Administrator: "+help)
}
