package s3store

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// List implements objstore.Lister with one ListObjectsV2.
func (s *Store) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	in := &s3.ListObjectsV2Input{Bucket: &s.cfg.Bucket}
	if prefix != "" {
		in.Prefix = &prefix
	}
	if startAfter != "" {
		in.StartAfter = &startAfter
	}
	out, err := call(ctx, s, func(ctx context.Context, client *s3.Client) (*s3.ListObjectsV2Output, error) {
		return client.ListObjectsV2(ctx, in)
	})
	if err != nil {
		return objstore.Page{}, s.fail(ctx, "list", prefix, err)
	}
	page, err := pageOf(out, prefix, startAfter)
	if err != nil {
		return objstore.Page{}, &objstore.OpError{Op: "list", Key: prefix, Err: err}
	}
	return page, nil
}

// pageOf checks that the answer is what was asked for: everything above relies on the order.
func pageOf(out *s3.ListObjectsV2Output, prefix, startAfter string) (objstore.Page, error) {
	page := objstore.Page{More: aws.ToBool(out.IsTruncated)}
	last := startAfter
	for _, o := range out.Contents {
		info := infoOf(o)
		if info.Key <= last || !strings.HasPrefix(info.Key, prefix) {
			return objstore.Page{}, fmt.Errorf("the listing has %q after %q: %w", info.Key, last, errUnordered)
		}
		last = info.Key
		page.Objects = append(page.Objects, info)
	}
	if page.More && len(page.Objects) == 0 {
		return objstore.Page{}, fmt.Errorf("an empty page that says there is more: %w", objstore.ErrTemporary)
	}
	return page, nil
}

func infoOf(o types.Object) objstore.Info {
	return objstore.Info{
		Key:      aws.ToString(o.Key),
		Size:     aws.ToInt64(o.Size),
		ETag:     unquoted(o.ETag),
		Modified: aws.ToTime(o.LastModified),
	}
}
