package proof

// This file fetches GitLab's public documents, such as its signing keys. It
// promises the same as for the API - no redirect, bounded size and time, at most
// three tries - and that no token goes along: the documents are the same for
// everybody.

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"envrole/roles/fault"
	"envrole/roles/seal"
)

// Document gives the body of a public JSON document of the instance: path is
// below [gitlab] url, or an address on the very same scheme, host and port; any
// other address is an error. What is not there, or no JSON, is Permanent: it
// says nothing of the job. what names the document in errors ("GET
// /.well-known/openid-configuration") and expects its shape.
func (c *Client) Document(ctx context.Context, path, what, expects string) ([]byte, error) {
	target, err := c.address(path)
	if err != nil {
		return nil, fault.New(fault.Permanent, "fetch", what, err,
			"GitLab names an address on another host for it, where EnvRole does not go: check [gitlab] url and GitLab's external_url.")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer c.transport.CloseIdleConnections()
	const help = "Check that [gitlab] url is GitLab's address, path prefix included, and that no proxy answers in its place."
	e := endpoint{shown: what, expects: expects, unauthorized: help, forbidden: help, missing: help}
	calls := 0
	body, err := c.fetch(ctx, e, target, seal.Secret{}, &calls)
	if fault.ClassOf(err) == fault.Refused { // as an answer about a job it would be a decision on it
		err = fault.New(fault.Permanent, "fetch", what, err, fault.HelpOf(err))
	}
	return body, err
}

// address is the URL of a document, if it lies on the instance's own origin.
func (c *Client) address(path string) (string, error) {
	root := strings.TrimSuffix(c.base, "/api/v4")
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		return root + path, nil
	}
	own, err := url.Parse(root)
	if err != nil {
		return "", errors.New("gitlab.url is not a URL")
	}
	u, err := url.Parse(path)
	if err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" ||
		u.Scheme != own.Scheme || !strings.EqualFold(u.Host, own.Host) {
		return "", errors.New("its address is not on the host of [gitlab] url")
	}
	return u.String(), nil
}
