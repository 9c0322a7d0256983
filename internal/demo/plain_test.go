package main

import "testing"

// What gitlab-runner 19.3 reports: each line has a time and a stream, and a "+"
// where it goes on with the line before.
func TestARunnersLogIsShownWithoutItsMarks(t *testing.T) {
	const log = "2026-11-28T07:10:48.050018Z 00O Running with gitlab-runner 19.3.0 (9cbf0074)\n" +
		"2026-11-28T07:10:48.050361Z 00O section_start:1795849848:prepare_executor\r\x1b[0K\n" +
		"2026-11-28T07:10:48.050367Z 00O+\x1b[0K\x1b[36;1mPreparing the \"custom\" executor\x1b[0;m\n" +
		"2026-11-28T07:10:48.473275Z 01O my secret key is [MASKED]\r\n"
	const want = "Running with gitlab-runner 19.3.0 (9cbf0074)\n" +
		"Preparing the \"custom\" executor\nmy secret key is [MASKED]\n"
	if got := plain(log); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	const old = "section_start:1795849848:step_script\r\x1b[0K$ echo x\nx 2026-11-28T07:10:48.473275Z 01O y\n"
	if got := plain(old); got != "$ echo x\nx 2026-11-28T07:10:48.473275Z 01O y\n" {
		t.Errorf("an older runner's: %q", got)
	}
}
