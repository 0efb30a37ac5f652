package s3store

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
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
	page := objstore.Page{More: aws.ToBool(out.IsTruncated)}
	for _, o := range out.Contents {
		page.Objects = append(page.Objects, infoOf(o))
	}
	if err := reply.CheckPage(page, prefix, startAfter); err != nil {
		return objstore.Page{}, &objstore.OpError{Op: "list", Key: prefix, Err: err}
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
