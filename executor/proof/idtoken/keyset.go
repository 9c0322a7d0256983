package idtoken

// This file reads GitLab's discovery document and its published keys.

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"envrole/executor/job"
	"envrole/executor/job/strictjson"
	"envrole/roles/fault"
)

// maxKeys bounds a key list; GitLab publishes two or three.
const maxKeys = 50

// fetch gets the instance's keys: discovery first, then what it names.
func (k *keyring) fetch(ctx context.Context) ([]json.RawMessage, error) {
	const discovery = "GET /.well-known/openid-configuration"
	body, err := k.opts.GitLab.Document(ctx, "/.well-known/openid-configuration", discovery, `a JSON object with "issuer" and "jwks_uri"`)
	if err != nil {
		return nil, err
	}
	address, err := k.keysAddress(body)
	if err != nil {
		return nil, fault.New(fault.Permanent, "read", discovery, err,
			"[gitlab] url must be GitLab's external_url, path prefix included: it is what GitLab's tokens name as their issuer.")
	}
	body, err = k.opts.GitLab.Document(ctx, address, "GET jwks_uri", `a JSON object with "keys"`)
	if err != nil {
		return nil, err
	}
	keys, err := publishedKeys(body)
	if err != nil {
		return nil, fault.New(fault.Passing, "read", "GitLab's signing keys", err, "Run the job again; if it stays so, look at {url}/oauth/discovery/keys.")
	}
	return keys, nil
}

func (k *keyring) keysAddress(body []byte) (string, error) {
	top, err := strictjson.Value(body).Object()
	if err != nil {
		return "", err
	}
	issuer, err := top["issuer"].Text()
	if err != nil || issuer != k.opts.Issuer {
		return "", fmt.Errorf("its issuer is %s, [gitlab] url is %s", job.Quote(issuer), job.Quote(k.opts.Issuer))
	}
	address, err := top["jwks_uri"].Text()
	if err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	return address, nil
}

// publishedKeys gives the usable keys of a key list, at least one.
func publishedKeys(body []byte) ([]json.RawMessage, error) {
	top, err := strictjson.Value(body).Object()
	if err != nil {
		return nil, err
	}
	list, err := top["keys"].Array()
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("%d keys, at most %d are expected", len(list), maxKeys)
	}
	var keys []json.RawMessage
	ids := map[string]bool{}
	for _, v := range list {
		key, err := parseKey(json.RawMessage(v))
		if err != nil {
			continue // of another kind, for another purpose
		}
		if ids[key.KeyID] {
			return nil, fmt.Errorf("two keys with the id %s", job.Quote(key.KeyID))
		}
		ids[key.KeyID] = true
		public, err := key.MarshalJSON() // without certificates and what else came along
		if err != nil {
			return nil, err
		}
		keys = append(keys, public)
	}
	if len(keys) == 0 {
		return nil, errors.New("no key for RS256 or ES256 among them")
	}
	return keys, nil
}

// parseKey reads one usable public key.
func parseKey(raw json.RawMessage) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(raw); err != nil {
		return key, err
	}
	if !key.IsPublic() {
		return key, errors.New("not a public key")
	}
	key = jose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: key.Algorithm, Use: key.Use}
	return key, usable(key)
}

// find gives the key of this id.
func find(keys []json.RawMessage, id string) (crypto.PublicKey, bool) {
	for _, raw := range keys {
		if key, err := parseKey(raw); err == nil && key.KeyID == id {
			return key.Key, true
		}
	}
	return nil, false
}
