//go:build js && wasm

package main

import (
	"context"
	"fmt"
	"syscall/js"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/promise"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/fetchstore"
	"github.com/litefs-s3/litefs-s3/web/engine"
)

// placeOf says where the objects are that options name: by a URL, with credentials or without, or by a function that makes URLs.
func placeOf(o js.Value) (fetchstore.Place, error) {
	if o.Get("asksURLs").Truthy() {
		return askedPlace{}, nil
	}
	var provider fetchstore.Provider
	if o.Get("asksCredentials").Truthy() {
		provider = askCredentials
	}
	place, err := fetchstore.ParseURL(text(o, "url"), provider)
	if err != nil {
		return nil, fmt.Errorf("open replica: %w: %w", err, engine.ErrArgument)
	}
	return place, nil
}

// ask asks the page, which worker.js passes on.
func ask(ctx context.Context, question map[string]any) (js.Value, error) {
	return promise.Await(ctx, js.Global().Call("litefsS3Ask", question))
}

// askCredentials is a fetchstore.Provider.
func askCredentials(ctx context.Context) (c fetchstore.Credentials, err error) {
	v, err := ask(ctx, map[string]any{"what": "credentials"})
	switch {
	case err != nil:
		return c, err
	case v.Type() != js.TypeObject:
		return c, errProvider
	}
	c.AccessKeyID, c.SecretAccessKey, c.SessionToken = text(v, "accessKeyId"), text(v, "secretAccessKey"), text(v, "sessionToken")
	if ms := number(v, "expiration"); ms > 0 {
		c.Expires = time.UnixMilli(int64(ms))
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, fmt.Errorf("accessKeyId and secretAccessKey are both needed: %w", engine.ErrArgument)
	}
	return c, nil
}

// askedPlace is where the page says: its urlFor is asked for each request.
type askedPlace struct{}

var _ fetchstore.Place = askedPlace{}

func (askedPlace) Object(ctx context.Context, key string) (string, error) {
	return askURL(ctx, map[string]any{"what": "url", "request": map[string]any{"type": "get", "key": key}})
}

func (askedPlace) Listings(ctx context.Context, prefix, startAfter string) ([]fetchstore.Listing, error) {
	v, err := ask(ctx, map[string]any{"what": "url", "request": map[string]any{"type": "list", "prefix": prefix, "startAfter": startAfter}})
	if err != nil {
		return nil, &fetchstore.CredentialsError{Err: err}
	}
	listing := fetchstore.Listing{URL: text(v, "url"), Root: text(v, "root")}
	if v.Type() == js.TypeString { // keys in it begin with the replica's own
		listing.URL = v.String()
	}
	if listing.URL == "" {
		return nil, fmt.Errorf("urlFor gives no URL for a listing: %w", objstore.ErrUnsupported)
	}
	return []fetchstore.Listing{listing}, nil
}

func (askedPlace) Refused() bool { return true } // the next URL may be signed anew

func askURL(ctx context.Context, question map[string]any) (string, error) {
	v, err := ask(ctx, question)
	switch {
	case err != nil:
		return "", &fetchstore.CredentialsError{Err: err}
	case v.Type() != js.TypeString:
		return "", &fetchstore.CredentialsError{Err: errProvider}
	}
	return v.String(), nil
}
