package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
)

// renewals is after how many of them the memory of envrole-run is looked at.
const renewals = 12

// measureRenewals runs a job whose session is renewed over and over while its
// script runs, with the longest tokens that STS gives: each new generation
// teaches the log filter, which must forget the old ones.
func measureRenewals(ctx context.Context, o options) (rows []row, err error) {
	w, err := newWorldOn(o, fakeaws.Options{SessionLimit: 4 * time.Second, TokenSize: 4096})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.deliver("endpoint"); err != nil {
		return nil, err
	}
	payload, err := w.payload()
	if err != nil {
		return nil, err
	}
	enough := filepath.Join(w.dir, "enough")
	done := make(chan fakerunner.Result, 1)
	// The last byte of the output so far may begin a secret.
	script := "printf 'waiting 0'; until [ -e " + enough + " ]; do sleep 0.1; done; echo"
	go func() { done <- w.ours.Run(ctx, job(payload, script+sayMemory)) }()
	for {
		select {
		case res := <-done:
			if err := failed("our", res); err != nil {
				return nil, err
			}
			kib, err := usage{tail: res.Log}.memory()
			return []row{memoryRow(fmt.Sprintf("peak memory of envrole-run, %d renewals of 4 KiB tokens", renewals), kib)}, err
		case <-time.After(50 * time.Millisecond):
		}
		if len(w.aws.Sessions()) > renewals { // one was lent, no revoker has come
			if err := os.WriteFile(enough, nil, 0o600); err != nil {
				return nil, err
			}
		}
	}
}
