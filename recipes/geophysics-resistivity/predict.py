def predict(run):
    raise NotImplementedError
