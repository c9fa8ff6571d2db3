package starlib

// dataWords are the names that reach data: ds, topics, stream, agg.
func dataWords() []Word {
	return []Word{
		{Name: "ds", Make: newDS, Doc: dsMethods.Doc, Type: dsMethods},
		{Name: "topics", Make: newTopics, Doc: topicsMethods.Doc, Type: topicsMethods},
		{Name: "stream", Module: streamModule},
		{Name: "agg", Module: aggModule},
	}
}

// dataTypes are the types of values that those give.
func dataTypes() []*Methods {
	return []*Methods{dsMethods, storeMethods, objectMethods, writerMethods, streamMethods, rowMethods, topicsMethods, topicMethods}
}
