package x

func init() {}
