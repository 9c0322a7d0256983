package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"envrole/roles/settings/schema"
)

// Load reads the configuration file at path. Before a byte of it is believed it
// must be a regular file of at most 4 MiB that nobody but root and the current
// user can change, and so must be everything on the way to it. Others may read
// it: it holds no secret. The same holds for gitlab.ca_file, which decides whom
// the job's token is shown to, and for the program of policy.command. The error is Problems.
func Load(path string, bases []schema.Table) (*Settings, error) {
	data, err := readTrusted(path, os.Geteuid())
	if err != nil {
		return nil, Problems{{File: path, Msg: oneLine(plain(err, path))}}
	}
	s, err := Parse(path, data, bases)
	if err != nil {
		return nil, err
	}
	if s.GitLab.CAFile != "" {
		if _, err := readTrusted(s.GitLab.CAFile, os.Geteuid()); err != nil {
			line := locate(string(data)).root.key("gitlab").key("ca_file").lineOf()
			return nil, Problems{{File: path, Line: line, Key: "gitlab.ca_file", Msg: oneLine(err.Error())}}
		}
	}
	if len(s.Policy.Command) > 0 {
		if _, err := trusted(s.Policy.Command[0], os.Geteuid()); err != nil {
			line := locate(string(data)).root.key("policy").key("command").lineOf()
			return nil, Problems{{File: path, Line: line, Key: "policy.command", Msg: oneLine(err.Error())}}
		}
	}
	return s, nil
}

// readTrusted gives the bytes of a file that only root and uid can change.
func readTrusted(path string, uid int) ([]byte, error) {
	real, err := trusted(path, uid)
	if err != nil {
		return nil, err
	}
	// O_NONBLOCK: a named pipe must not hang the stage.
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", real)
	case info.Size() > maxSize:
		return nil, fmt.Errorf("%s is larger than %d MiB", real, maxSize>>20)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("%s is larger than %d MiB", real, maxSize>>20)
	}
	return data, err
}

// plain leaves the path out of a system error that names it again.
func plain(err error, path string) string {
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Path == path {
		return "cannot read it: " + pe.Err.Error()
	}
	return err.Error()
}
