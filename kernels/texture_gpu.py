def measure_objects_on_gpu(*a): raise NotImplementedError
def measure_planes_on_gpu(*a): raise NotImplementedError
