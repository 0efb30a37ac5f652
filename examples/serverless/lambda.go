package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// lambda speaks Lambda's runtime interface: it asks for an event, lets the handler answer it, and asks for the next. Events are those
// of a function URL or of an HTTP API (payload version 2.0).
//
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type lambda struct {
	api     string // host:port
	handler http.Handler
	client  http.Client // without a time limit: the next event may be hours away
}

// event is what a handler needs of one.
type event struct {
	RawPath        string            `json:"rawPath"`
	RawQueryString string            `json:"rawQueryString"`
	Headers        map[string]string `json:"headers"`
	Body           string            `json:"body"`
	Base64         bool              `json:"isBase64Encoded"`
	Context        struct {
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// response is what Lambda makes an answer of.
type response struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`
}

func (l *lambda) serve(ctx context.Context) error {
	for {
		if err := l.one(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // told to end while waiting for an event
			}
			return err
		}
	}
}

// one answers one event.
func (l *lambda) one(ctx context.Context) error {
	next, err := l.send(ctx, http.MethodGet, "next", nil)
	if err != nil {
		return err
	}
	defer next.Body.Close()
	id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
	if ms, err := strconv.ParseInt(next.Header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64); err == nil {
		const rest = 200 * time.Millisecond // to answer that it took too long
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, time.UnixMilli(ms).Add(-rest))
		defer cancel()
	}
	var e event
	if err := json.NewDecoder(next.Body).Decode(&e); err != nil {
		return l.answer(ctx, id+"/error", map[string]string{"errorType": "Event", "errorMessage": err.Error()})
	}
	return l.answer(ctx, id+"/response", l.handle(ctx, e))
}

// handle makes a request of the event, and a response of the answer.
func (l *lambda) handle(ctx context.Context, e event) response {
	body := []byte(e.Body)
	if e.Base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return response{Status: http.StatusBadRequest, Body: "the body is not base64\n"}
		}
	}
	target := e.RawPath
	if e.RawQueryString != "" {
		target += "?" + e.RawQueryString
	}
	req, err := http.NewRequestWithContext(ctx, e.Context.HTTP.Method, target, bytes.NewReader(body))
	if err != nil {
		return response{Status: http.StatusBadRequest, Body: "the event is no request\n"}
	}
	for name, value := range e.Headers {
		req.Header.Set(name, value)
	}
	w := recorder{header: http.Header{}}
	l.handler.ServeHTTP(&w, req)
	return w.response()
}

// recorder is an http.ResponseWriter that keeps the answer.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) { w.status = cmp.Or(w.status, status) }

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *recorder) response() response {
	out := response{Status: cmp.Or(w.status, http.StatusOK), Headers: map[string]string{}, Body: w.body.String()}
	for name := range w.header {
		out.Headers[name] = w.header.Get(name)
	}
	if !utf8.ValidString(out.Body) {
		out.Body, out.Base64 = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return out
}

// answer posts what became of an event. It is sent also when the time of the event is over.
func (l *lambda) answer(ctx context.Context, path string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	resp, err := l.send(context.WithoutCancel(ctx), http.MethodPost, path, data)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (l *lambda) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	url := "http://" + l.api + "/2018-06-01/runtime/invocation/" + path
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(resp.Body) // it only explains
		resp.Body.Close()
		return nil, fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	return resp, nil
}
