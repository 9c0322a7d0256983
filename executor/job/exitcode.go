package job

// This file hands a script's exit code to the runner. It promises that the
// runner finds either no file or a whole number, whatever dies when, and that a
// link which the job put in the file's place is replaced, never followed.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// WriteExitCode writes code (1-255) as plain digits to path, the file that
// BUILD_EXIT_CODE_FILE names. An empty path (runner before 17.9) is nothing to do.
func WriteExitCode(path string, code int) error {
	if path == "" {
		return nil
	}
	if code < 1 || code > 255 {
		return fmt.Errorf("write exit code: %d is no exit code of a failed script", code)
	}
	// First away with the old one: if writing fails, the runner must not find
	// the code of an earlier sub-stage.
	if err := ClearExitCode(path); err != nil {
		return err
	}
	// CreateTemp opens with O_EXCL and rename replaces the name itself: neither
	// follows a link.
	f, err := os.CreateTemp(filepath.Dir(path), ".exit_code-*")
	if err != nil {
		return fmt.Errorf("write exit code: %w", err)
	}
	_, err = f.WriteString(strconv.Itoa(code))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write exit code: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// ClearExitCode removes what an earlier sub-stage left at path. The runner
// never does, and would take it for the code of this one.
func ClearExitCode(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear exit code: %w", err)
	}
	return nil
}
